//! Fused and stacked parameters: several tensors in one, each with fans of its own.

use super::any::Init;
use super::initializer::{Initializer, initializer};
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::plan::{Block, Distribution, Plan};

/// Blocks side by side along an axis: made by [`blocks`] or [`equal_blocks`].
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    /// Each with its size along the axis; without one, all are equal.
    parts: Vec<(Option<usize>, Init)>,
    /// So many blocks of the one initializer there is.
    count: Option<usize>,
    axis: isize,
}

/// Tensors of their own along an axis: made by [`stacked`].
#[derive(Debug, Clone, PartialEq)]
pub struct Stacked {
    each: Box<Init>,
    axis: isize,
}

/// A fused parameter: blocks of these sizes along axis 0 (or [`Blocks::axis`]), each initialized as the tensor it would be
/// alone, with its own fans. The sizes add up to the axis.
///
/// On the native stream, values that come by index keep the index of the whole, so blocks of one distribution have the bits of that
/// distribution; matrices (`orthogonal`, `sparse`) are those of the tensor called `name[0]`, `name[1]` and so on. On torch's stream
/// blocks are drawn one after another, each contiguous, as if joined by `torch.cat`; where all have one distribution by index the
/// whole is drawn at once.
///
/// Spec: `blocks(4096: xavier_uniform, 1024: xavier_uniform, 1024: xavier_uniform(gain=0.5), axis=0)`; without sizes the
/// blocks are equal, and `blocks(orthogonal, parts=3)` has three of one kind.
///
/// ```
/// use fanin::{DType, init};
/// // Queries, keys and values of grouped attention in one matrix: torch would take fan_out = 1536 for all of it.
/// let fused = init::blocks([(1024, init::xavier_uniform()), (256, init::xavier_uniform()), (256, init::xavier_uniform())]);
/// let plan = fused.resolve(&[1536, 1024], DType::F32)?;
/// assert_eq!(plan.blocks().len(), 3);
/// assert_eq!(plan.blocks()[1].plan().fans().unwrap().fan_out, 256);
/// # Ok::<(), fanin::Error>(())
/// ```
pub fn blocks(parts: impl IntoIterator<Item = (usize, impl Into<Init>)>) -> Blocks {
    let parts = parts.into_iter().map(|(size, init)| (Some(size), init.into())).collect();
    Blocks { parts, count: None, axis: 0 }
}

/// As [`blocks`], of equal sizes: `parts` blocks of one initializer.
///
/// ```
/// use fanin::init;
/// let gate_and_up = init::equal_blocks(2, init::orthogonal());
/// assert_eq!(gate_and_up.to_string(), "blocks(orthogonal, parts=2)");
/// ```
pub fn equal_blocks(parts: usize, each: impl Into<Init>) -> Blocks {
    Blocks { parts: vec![(None, each.into())], count: Some(parts), axis: 0 }
}

/// Tensors of their own along axis 0 (or [`Stacked::axis`]), such as the experts of `[expert, out, in]`: each is
/// initialized without that axis.
///
/// Values by index keep the index of the whole; matrices are those of the tensors called `name[0]`, `name[1]` and so on.
///
/// Spec: `stacked(orthogonal, axis=0)`; it nests, `stacked(blocks(orthogonal, parts=2))`.
///
/// ```
/// use fanin::{DType, init};
/// let plan = init::stacked(init::xavier_normal()).resolve(&[8, 256, 64], DType::F32)?;
/// assert_eq!(plan.fans().unwrap().fan_out, 256);
/// # Ok::<(), fanin::Error>(())
/// ```
pub fn stacked(each: impl Into<Init>) -> Stacked {
    Stacked { each: Box::new(each.into()), axis: 0 }
}

/// The axis meant, counted from the end if negative.
fn axis_of(scheme: &'static str, axis: isize, shape: &[usize]) -> Result<usize, Error> {
    let rank = shape.len() as isize;
    let counted = if axis < 0 { axis + rank } else { axis };
    usize::try_from(counted).ok().filter(|&counted| counted < shape.len()).ok_or_else(|| Error::Blocks {
        scheme,
        reason: format!("axis = {axis} is not there: write one from {} to {}", -rank, rank - 1),
        shape: shape.to_vec(),
    })
}

impl Blocks {
    /// The axis along which the blocks lie, counted from the end if negative.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis, ..self }
    }

    /// What a spec has: sizes for all blocks or none, and a count for a single one.
    pub(crate) fn from_spec(parts: Vec<(Option<usize>, Init)>, count: Option<usize>, axis: isize) -> Self {
        Self { parts, count, axis }
    }

    /// Each block's size and initializer on an axis of this length.
    fn cut(&self, length: usize) -> Result<Vec<(usize, &Init)>, String> {
        let sized: Option<Vec<_>> =
            self.parts.iter().map(|(size, init)| size.map(|size| (size, init))).collect();
        if let Some(sized) = sized.filter(|sized| !sized.is_empty()) {
            let sum = sized.iter().try_fold(0usize, |sum, (size, _)| sum.checked_add(*size));
            return match sum == Some(length) {
                true => Ok(sized),
                false => Err(format!(
                    "the blocks' sizes add up to {}, the axis has {length}",
                    sum.map_or("too much".to_owned(), |sum| sum.to_string())
                )),
            };
        }
        let count = self.count.unwrap_or(self.parts.len());
        if count == 0 || !length.is_multiple_of(count) {
            return Err(format!(
                "an axis of {length} has no {count} equal blocks: give their sizes, size: spec"
            ));
        }
        let inits = self.parts.iter().map(|(_, init)| init).cycle().take(count);
        Ok(inits.map(|init| (length / count, init)).collect())
    }
}

impl Stacked {
    /// The axis along which the tensors lie, counted from the end if negative.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis, ..self }
    }

    /// The initializer of each tensor.
    pub fn each(&self) -> &Init {
        &self.each
    }

    /// The shape of one tensor of a stack of this shape; `None` if it has not the axis.
    pub fn shape_of_each(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let axis =
            if self.axis < 0 { shape.len().checked_add_signed(self.axis)? } else { self.axis as usize };
        let mut each = shape.to_vec();
        (axis < each.len()).then(|| _ = each.remove(axis))?;
        Some(each)
    }
}

impl Initializer for Blocks {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let axis = axis_of("blocks", self.axis, shape)?;
        let wrong = |reason| Error::Blocks { scheme: "blocks", reason, shape: shape.to_vec() };
        let mut parts = Vec::new();
        let mut begin = 0;
        for (number, (size, init)) in self.cut(shape[axis]).map_err(wrong)?.into_iter().enumerate() {
            let mut own = shape.to_vec();
            own[axis] = size;
            let mut start = vec![0; shape.len()];
            start[axis] = begin;
            let plan = init.resolve(&own, dtype)?;
            parts.push(Block::new(start, (0..shape.len()).collect(), format!("[{number}]"), plan));
            begin += size;
        }
        Plan::of_blocks(shape, dtype, parts)
    }
}

impl Initializer for Stacked {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let axis = axis_of("stacked", self.axis, shape)?;
        let axes: Vec<usize> = (0..shape.len()).filter(|&other| other != axis).collect();
        let own: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        crate::shape::element_count(shape)?;
        let plan = self.each.resolve(&own, dtype)?;
        if shape[axis] == 0 {
            let none = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
            return Ok(none.with_warning(Warning::ZeroElements { shape: shape.to_vec() }));
        }
        let parts = (0..shape[axis]).map(|number| {
            let mut start = vec![0; shape.len()];
            start[axis] = number;
            Block::new(start, axes.clone(), format!("[{number}]"), plan.clone())
        });
        Plan::of_blocks(shape, dtype, parts.collect())
    }
}

impl std::fmt::Display for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("blocks(")?;
        for (number, (size, init)) in self.parts.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            match size {
                Some(size) => write!(f, "{size}: {init}")?,
                None => write!(f, "{init}")?,
            }
        }
        if let Some(count) = self.count {
            write!(f, ", parts={count}")?;
        }
        if self.axis != 0 {
            write!(f, ", axis={}", self.axis)?;
        }
        f.write_str(")")
    }
}

impl std::fmt::Display for Stacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stacked({}", self.each)?;
        if self.axis != 0 {
            write!(f, ", axis={}", self.axis)?;
        }
        f.write_str(")")
    }
}

initializer!(Blocks);
initializer!(Stacked);
