//! Initializers of fused and stacked parameters. Such a parameter combines several tensors, and each of these tensors
//! has separate fans.

use super::any::{Blocks, Init, Stacked};
use super::initializer::{Initializer, empty_plan, initializer};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Block, Plan};

/// Returns an initializer of a fused parameter: blocks along axis 0 (or [`Blocks::axis`]).
///
/// Each item of `blocks` is the size of a block along the axis, and the initializer of the block. The sizes must add up
/// to the size of the axis. A block is initialized like a separate tensor: its fans are computed from the shape of the
/// block.
///
/// On the native stream, a uniform, normal or truncated normal block is filled as a region of the whole tensor. The
/// values of the block are the same as if the whole tensor had this distribution. A block with any other distribution,
/// such as `orthogonal`, has the values of a separate tensor. The name of this tensor is the name of the parameter with
/// a suffix: `[0]` for block 0, `[1]` for block 1, and so on.
///
/// On the torch stream, the blocks are generated one after another, like tensors joined by `torch.cat`. There is one
/// exception. If all blocks have the same uniform, normal or truncated normal distribution, the tensor is generated as
/// a whole.
///
/// Spec: `blocks(4096: xavier_uniform, 1024: xavier_uniform, 1024: xavier_uniform(gain=0.5), axis=0)`. Without sizes,
/// all blocks have the same size. `blocks(orthogonal, count=3)` has three blocks of one scheme.
///
/// ```
/// use fanin::{DType, init};
/// // Queries, keys and values of grouped-query attention in one matrix. torch takes fan_out = 1536 for each block.
/// let fused = init::blocks([(1024, init::xavier_uniform()), (256, init::xavier_uniform()), (256, init::xavier_uniform())]);
/// let plan = fused.resolve(&[1536, 1024], DType::F32)?;
/// assert_eq!(plan.blocks().len(), 3);
/// assert_eq!(plan.blocks()[1].plan().fans().unwrap().fan_out, 256);
/// # Ok::<(), fanin::Error>(())
/// ```
pub fn blocks(blocks: impl IntoIterator<Item = (usize, impl Into<Init>)>) -> Blocks {
    let blocks = blocks.into_iter().map(|(size, init)| (Some(size), init.into())).collect();
    Blocks { blocks, count: None, axis: 0 }
}

/// Returns an initializer of a fused parameter with `count` blocks of equal size. `each` is the initializer of every
/// block. The values are generated as for [`blocks`].
///
/// Spec: `blocks(orthogonal, count=2)`.
///
/// ```
/// use fanin::init;
/// let gate_and_up = init::equal_blocks(2, init::orthogonal());
/// assert_eq!(gate_and_up.to_string(), "blocks(orthogonal, count=2)");
/// ```
pub fn equal_blocks(count: usize, each: impl Into<Init>) -> Blocks {
    Blocks { blocks: vec![(None, each.into())], count: Some(count), axis: 0 }
}

/// Returns an initializer of independent tensors stacked along axis 0 (or [`Stacked::axis`]). For example, a weight
/// `[expert, out, in]` is a stack of one matrix for each expert.
///
/// Every tensor has the initializer `each`. The shape of a tensor is the shape of the stack without the stacking axis:
/// `[out, in]` in the example. The values are generated as for the blocks of a fused parameter (see [`blocks`]).
///
/// Spec: `stacked(orthogonal, axis=0)`. Specs can be nested: `stacked(blocks(orthogonal, count=2))`. In arithmetic,
/// `index` is the index of the tensor in the stack. For example, `stacked(normal(std=0.02/sqrt(2*(index+1))))`
/// initializes layers that are stacked for `jax.lax.scan`.
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

/// Returns `axis` as an index of `shape`. A negative `axis` counts from the end.
fn resolve_axis(scheme: &'static str, axis: isize, shape: &[usize]) -> Result<usize, Error> {
    let rank = shape.len() as isize;
    let index = if axis < 0 { axis + rank } else { axis };
    usize::try_from(index).ok().filter(|&index| index < shape.len()).ok_or_else(|| Error::Blocks {
        scheme,
        reason: match rank {
            0 => format!("axis = {axis} does not exist: the shape must have at least one axis"),
            _ => format!("axis = {axis} does not exist: it must be from {} to {}", -rank, rank - 1),
        },
        shape: shape.to_vec(),
    })
}

impl Blocks {
    /// Sets the axis along which the blocks are joined (default: 0). A negative axis counts from the end.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis, ..self }
    }

    /// Returns the initializer of a `blocks` spec. Either all blocks have a size, or none. If `count` is `Some`,
    /// `blocks` must have exactly one entry, without a size.
    pub(crate) fn from_spec(blocks: Vec<(Option<usize>, Init)>, count: Option<usize>, axis: isize) -> Self {
        Self { blocks, count, axis }
    }

    /// Returns the size and the initializer of each block of an axis of size `length`. The error is the reason why the
    /// blocks do not fit the axis.
    fn split(&self, length: usize) -> Result<impl ExactSizeIterator<Item = (usize, &Init)>, String> {
        let sizes: Option<Vec<usize>> = self.blocks.iter().map(|(size, _)| *size).collect();
        let count = self.count.unwrap_or(self.blocks.len());
        if let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty()) {
            let sum = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size));
            if sum != Some(length) {
                return Err(format!(
                    "the sizes of the blocks add up to {}, but the axis has {length}",
                    sum.map_or("more than fits a usize".to_owned(), |sum| sum.to_string())
                ));
            }
        } else if count == 0 || !length.is_multiple_of(count) {
            return Err(format!(
                "an axis of {length} cannot be split into {count} equal blocks: write size: spec for each block"
            ));
        }
        Ok((0..count).map(move |number| {
            let (size, init) = &self.blocks[number % self.blocks.len()];
            (size.unwrap_or(length / count), init)
        }))
    }
}

/// Returns an empty vector with a capacity of `count` blocks, or an error if there is not enough memory.
fn with_capacity(count: usize, shape: &[usize]) -> Result<Vec<Block>, Error> {
    let mut blocks = Vec::new();
    let bytes = count as u128 * size_of::<Block>() as u128;
    blocks.try_reserve_exact(count).map_err(|_| Error::Memory { shape: shape.to_vec(), bytes })?;
    Ok(blocks)
}

impl Stacked {
    /// Sets the axis along which the tensors are stacked (default: 0). A negative axis counts from the end.
    #[must_use]
    pub fn axis(self, axis: isize) -> Self {
        Self { axis, ..self }
    }

    /// Returns the initializer that is used for every tensor of the stack.
    pub fn each(&self) -> &Init {
        &self.each
    }

    /// Returns the shape of each tensor in a stack of shape `shape`. Returns `None` if `shape` does not have the
    /// stacking axis.
    pub fn shape_of_each(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let axis = resolve_axis("stacked", self.axis, shape).ok()?;
        let mut each = shape.to_vec();
        each.remove(axis);
        Some(each)
    }
}

impl Initializer for Blocks {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let axis = resolve_axis("blocks", self.axis, shape)?;
        let mismatch = |reason| Error::Blocks { scheme: "blocks", reason, shape: shape.to_vec() };
        let split = self.split(shape[axis]).map_err(mismatch)?;
        let empty = empty_plan(shape, dtype)?;
        // An empty tensor can have any number of blocks. Each initializer is resolved once, to find errors.
        let count = if empty.is_some() { self.blocks.len().min(split.len()) } else { split.len() };
        let mut blocks = with_capacity(count, shape)?;
        let mut offset = 0;
        for (number, (size, init)) in split.take(count).enumerate() {
            let mut block_shape = shape.to_vec();
            block_shape[axis] = size;
            let mut start = vec![0; shape.len()];
            start[axis] = offset;
            let plan = init.resolve(&block_shape, dtype)?;
            blocks.push(Block::new(start, (0..shape.len()).collect(), format!("[{number}]"), plan));
            offset += size;
        }
        empty.map_or_else(|| Plan::of_blocks(shape, dtype, blocks), Ok)
    }
}

impl Initializer for Stacked {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let axis = resolve_axis("stacked", self.axis, shape)?;
        let axes: Vec<usize> = (0..shape.len()).filter(|&other| other != axis).collect();
        let each_shape: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
        let empty = empty_plan(shape, dtype)?;
        let first = self.each.at(0);
        let plan = first.as_ref().unwrap_or(&self.each).resolve(&each_shape, dtype)?;
        if let Some(empty) = empty {
            return Ok(empty);
        }
        let mut blocks = with_capacity(shape[axis], shape)?;
        for number in 0..shape[axis] {
            let mut start = vec![0; shape.len()];
            start[axis] = number;
            let plan = match self.each.at(number) {
                Some(each) => each.resolve(&each_shape, dtype)?,
                None => plan.clone(),
            };
            blocks.push(Block::new(start, axes.clone(), format!("[{number}]"), plan));
        }
        Plan::of_blocks(shape, dtype, blocks)
    }
}

impl std::fmt::Display for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("blocks(")?;
        for (number, (size, init)) in self.blocks.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            match size {
                Some(size) => write!(f, "{size}: {init}")?,
                None => write!(f, "{init}")?,
            }
        }
        if let Some(count) = self.count {
            write!(f, ", count={count}")?;
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
