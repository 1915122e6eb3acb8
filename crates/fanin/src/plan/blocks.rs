//! Plans in parts: blocks of a fused parameter, tensors of a stack, a matrix among a kernel's taps.

use super::{Distribution, Plan};
use crate::dtype::DType;
use crate::error::Error;
use crate::shape::element_count;

/// A part of a tensor with a plan of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub(super) start: Vec<usize>,
    pub(super) axes: Vec<usize>,
    pub(super) suffix: String,
    pub(super) plan: Plan,
}

/// What a box of the whole and a part have in common.
pub(crate) struct Meeting {
    /// Where it begins, counted from the box's beginning.
    pub(crate) in_box: Vec<usize>,
    /// Where it begins in the part.
    pub(crate) in_part: Vec<usize>,
    /// Its sizes along the part's axes.
    pub(crate) size: Vec<usize>,
    /// Its sizes along the whole's axes.
    pub(crate) extent: Vec<usize>,
}

impl Block {
    /// The elements of the whole that begin at the index `start` and run along these axes of it, in this order; along the
    /// others the part has one element. `suffix` is added to the tensor's name for what the part draws as a matrix.
    pub(crate) fn new(start: Vec<usize>, axes: Vec<usize>, suffix: String, plan: Plan) -> Self {
        debug_assert_eq!(axes.len(), plan.shape.len());
        Self { start, axes, suffix, plan }
    }

    /// What is written there. Its shape is the part's.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The index in the whole of the part's first element.
    pub fn start(&self) -> &[usize] {
        &self.start
    }

    /// The axes of the whole that the part's axes are, in their order. Along the others it has one element.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// What is added to the tensor's name for distributions that are drawn as a matrix: `[1]` for block 1, `[3][0]` for block 0 of
    /// tensor 3 of a stack.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The part's sizes along the axes of the whole.
    pub fn extent(&self) -> Vec<usize> {
        let mut extent = vec![1; self.start.len()];
        self.axes.iter().zip(&self.plan.shape).for_each(|(&axis, &size)| extent[axis] = size);
        extent
    }

    /// What it has in common with a box of the whole, if anything.
    pub(crate) fn meet(&self, start: &[usize], size: &[usize]) -> Option<Meeting> {
        let own = self.extent();
        let mut first = self.start.clone();
        let mut extent = vec![0; own.len()];
        for axis in 0..own.len() {
            let end = (self.start[axis] + own[axis]).min(start[axis] + size[axis]);
            first[axis] = self.start[axis].max(start[axis]);
            extent[axis] = end.checked_sub(first[axis]).filter(|&length| length > 0)?;
        }
        Some(Meeting {
            in_box: first.iter().zip(start).map(|(first, start)| first - start).collect(),
            in_part: self.axes.iter().map(|&axis| first[axis] - self.start[axis]).collect(),
            size: self.axes.iter().map(|&axis| extent[axis]).collect(),
            extent,
        })
    }

    /// The parts that this one is made of, in terms of the whole: itself, if its plan has none.
    fn flat(self) -> Vec<Block> {
        if self.plan.parts.is_empty() {
            return vec![self];
        }
        let Block { start, axes, suffix, plan } = self;
        let inner = plan.parts.into_iter().map(|part| {
            let mut begin = start.clone();
            axes.iter().zip(&part.start).for_each(|(&axis, &at)| begin[axis] += at);
            let along = part.axes.iter().map(|&axis| axes[axis]).collect();
            Block { start: begin, axes: along, suffix: suffix.clone() + &part.suffix, plan: part.plan }
        });
        inner.collect()
    }
}

/// Whether a distribution gives each value by the index alone, so that parts of one such distribution are the whole of it.
fn is_by_index(distribution: Distribution) -> bool {
    matches!(
        distribution,
        Distribution::Constant { .. }
            | Distribution::Uniform { .. }
            | Distribution::Normal { .. }
            | Distribution::TruncatedNormal { .. }
    )
}

impl Plan {
    /// A plan whose parts, which do not overlap, have plans of their own; elements in none of them are 0. Blocks that fill
    /// the whole with one distribution by index are that distribution.
    ///
    /// # Errors
    /// `ShapeOverflow`.
    pub(crate) fn of_blocks(shape: &[usize], dtype: DType, parts: Vec<Block>) -> Result<Self, Error> {
        let count = element_count(shape)?;
        // A part may be of parts: their elements that are 0 stay so.
        let parts: Vec<Block> =
            parts.into_iter().flat_map(Block::flat).filter(|part| !part.plan.is_empty()).collect();
        let mut warnings = Vec::new();
        for warning in parts.iter().flat_map(|part| &part.plan.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        let same_fans = |parts: &[Block]| {
            let fans = parts.first().and_then(|part| part.plan.fans);
            fans.filter(|_| parts.iter().all(|part| part.plan.fans == fans))
        };
        let covered = parts.iter().map(|part| part.plan.len()).sum::<usize>() == count;
        let fans = same_fans(&parts);
        let one = parts.first().filter(|first| {
            let distribution = (first.plan.distribution, first.plan.distribution_on_torch);
            covered
                && is_by_index(distribution.0)
                && parts
                    .iter()
                    .all(|part| (part.plan.distribution, part.plan.distribution_on_torch) == distribution)
        });
        let (distribution, distribution_on_torch) = match one {
            Some(part) => (part.plan.distribution, part.plan.distribution_on_torch),
            None if parts.is_empty() => (Distribution::Constant { value: 0.0 }, None),
            None => (Distribution::Blocks { count: parts.len() }, None),
        };
        let parts = if one.is_some() { Vec::new() } else { parts };
        Ok(Self { shape: shape.to_vec(), dtype, distribution, distribution_on_torch, fans, warnings, parts })
    }

    /// The parts of a plan in parts ([`Distribution::Blocks`]); none of any other.
    pub fn blocks(&self) -> &[Block] {
        &self.parts
    }

    /// Whether there are elements in no part: they are 0.
    pub(crate) fn has_background(&self) -> bool {
        self.parts.iter().map(|part| part.plan.len()).sum::<usize>() < self.len()
    }

    /// Mean and mean square of all elements of a plan in parts.
    pub(super) fn moments_of_blocks(&self) -> (f64, f64) {
        let (mut first, mut second) = (0.0, 0.0);
        for part in &self.parts {
            let share = part.plan.len() as f64 / self.len() as f64;
            let (mean, std) = (part.plan.mean(), part.plan.std());
            first += share * mean;
            second += share * (std * std + mean * mean);
        }
        (first, second)
    }

    /// The least and greatest value that a part can write.
    pub(super) fn bounds_of_blocks(&self) -> (f64, f64) {
        let background = if self.has_background() { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        self.parts
            .iter()
            .map(|part| part.plan.bounds())
            .fold(background, |(low, high), (a, b)| (low.min(a), high.max(b)))
    }
}
