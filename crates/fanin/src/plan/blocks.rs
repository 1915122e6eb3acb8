//! Plans of tensors that consist of blocks, such as fused parameters and stacks.

use super::distribution::Distribution;
use super::types::{Block, Plan};
use crate::dtype::DType;
use crate::error::Error;
use crate::shape::element_count;

/// The intersection of a block with a region of the whole tensor.
pub(crate) struct Intersection {
    /// The first index of the intersection, relative to the start of the region, along each axis of the whole tensor.
    pub(crate) in_region: Vec<usize>,
    /// The first index of the intersection, relative to the start of the block, along each axis of the block.
    pub(crate) in_block: Vec<usize>,
    /// The size of the intersection along each axis of the block.
    pub(crate) size: Vec<usize>,
    /// The size of the intersection of the block and the region along each axis of the whole tensor.
    pub(crate) extent: Vec<usize>,
}

impl Block {
    /// Returns the intersection with the region `start..start + size` of the whole tensor, or `None` if it is empty.
    pub(crate) fn intersection(&self, start: &[usize], size: &[usize]) -> Option<Intersection> {
        let own = self.extent();
        let mut first = self.start.clone();
        let mut extent = vec![0; own.len()];
        for axis in 0..own.len() {
            let end = (self.start[axis] + own[axis]).min(start[axis] + size[axis]);
            first[axis] = self.start[axis].max(start[axis]);
            extent[axis] = end.checked_sub(first[axis]).filter(|&length| length > 0)?;
        }
        Some(Intersection {
            in_region: first.iter().zip(start).map(|(first, start)| first - start).collect(),
            in_block: self.axes.iter().map(|&axis| first[axis] - self.start[axis]).collect(),
            size: self.axes.iter().map(|&axis| extent[axis]).collect(),
            extent,
        })
    }

    /// Returns the inner blocks of this block, if the plan of this block consists of blocks. Otherwise returns only
    /// this block. The start indices and axes of the returned blocks refer to the whole tensor.
    fn flatten(self) -> Vec<Block> {
        if self.plan.blocks.is_empty() {
            return vec![self];
        }
        let Block { start, axes, suffix, plan } = self;
        let inner = plan.blocks.into_iter().map(|block| {
            let mut first = start.clone();
            axes.iter().zip(&block.start).for_each(|(&axis, &offset)| first[axis] += offset);
            let along = block.axes.iter().map(|&axis| axes[axis]).collect();
            Block { start: first, axes: along, suffix: suffix.clone() + &block.suffix, plan: block.plan }
        });
        inner.collect()
    }
}

/// Returns true if a value depends only on its index, not on the shape of the tensor. `of_blocks` merges blocks of such
/// a distribution.
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
    /// Returns the plan of a tensor that consists of `blocks`. The blocks must not overlap. Elements outside all blocks
    /// are 0.
    ///
    /// Merges the blocks if they cover the tensor, all have the same distribution, and `is_by_index` returns true for
    /// this distribution. The returned plan then has this distribution and no blocks.
    ///
    /// # Errors
    /// `ShapeOverflow` if the number of elements does not fit in an `isize`.
    pub(crate) fn of_blocks(shape: &[usize], dtype: DType, blocks: Vec<Block>) -> Result<Self, Error> {
        let count = element_count(shape)?;
        let blocks: Vec<Block> =
            blocks.into_iter().flat_map(Block::flatten).filter(|block| !block.plan.is_empty()).collect();
        let mut warnings = Vec::new();
        for warning in blocks.iter().flat_map(|block| &block.plan.warnings) {
            if !warnings.contains(warning) {
                warnings.push(warning.clone());
            }
        }
        let fans = blocks.first().and_then(|block| block.plan.fans);
        let fans = fans.filter(|_| blocks.iter().all(|block| block.plan.fans == fans));
        let covered = blocks.iter().map(|block| block.plan.len()).sum::<usize>() == count;
        let distributions = |block: &Block| (block.plan.distribution, block.plan.distribution_on_torch);
        let same = blocks.first().map(distributions).filter(|first| {
            covered && is_by_index(first.0) && blocks.iter().all(|block| distributions(block) == *first)
        });
        let (distribution, distribution_on_torch) = match same {
            Some(distributions) => distributions,
            None if blocks.is_empty() => (Distribution::Constant { value: 0.0 }, None),
            None => (Distribution::Blocks { count: blocks.len() }, None),
        };
        let blocks = if same.is_some() { Vec::new() } else { blocks };
        Ok(Self {
            shape: shape.to_vec(),
            dtype,
            distribution,
            distribution_on_torch,
            fans,
            warnings,
            blocks,
            argument: None,
        })
    }
}
