//! Plans, and the blocks of a tensor that have plans of their own.

use super::distribution::Distribution;
use crate::dtype::DType;
use crate::error::Warning;
use crate::shape::Fans;

/// A resolved initializer: the shape, the element type and the distribution of a tensor, with all numbers computed and
/// checked, and no value drawn.
///
/// [`Initializer::resolve`](crate::Initializer::resolve) returns a plan. [`Plan::new`] makes one from a distribution.
/// The numbers of a plan are valid: a fill can only fail for its memory, or for what a stream does not support.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) distribution: Distribution,
    /// The distribution on the torch stream, if it differs: torch's C library may round an intermediate number
    /// differently, so that the last bit of a parameter differs.
    pub(super) distribution_on_torch: Option<Distribution>,
    pub(super) fans: Option<Fans>,
    pub(super) warnings: Vec<Warning>,
    /// Empty unless the distribution is [`Distribution::Blocks`].
    pub(super) blocks: Vec<Block>,
}

/// A block of a tensor with a plan of its own: a block of a fused parameter, a tensor of a stack, or a matrix within a
/// kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub(super) start: Vec<usize>,
    pub(super) axes: Vec<usize>,
    pub(super) suffix: String,
    pub(super) plan: Plan,
}

impl Plan {
    /// Returns the plan with the fans that its numbers were computed from.
    #[must_use]
    pub fn with_fans(mut self, fans: Fans) -> Self {
        self.fans = Some(fans);
        self
    }

    /// Returns the plan with a distribution of its own for the torch stream.
    ///
    /// The plan's distribution is the same on every machine. The numbers of torch depend on its C library.
    pub(crate) fn with_distribution_on_torch(self, distribution: Distribution) -> Self {
        Self { distribution_on_torch: (distribution != self.distribution).then_some(distribution), ..self }
    }

    /// Returns the plan for a wider element type, in which its numbers are valid as well.
    pub(crate) fn in_type(&self, dtype: DType) -> Self {
        let mut wide = Self { dtype, ..self.clone() };
        wide.blocks.iter_mut().for_each(|block| block.plan = block.plan.in_type(dtype));
        wide
    }

    /// The distribution on the torch stream: its numbers differ from those of [`Plan::distribution`] by a last bit at
    /// most.
    pub(crate) fn distribution_on_torch(&self) -> Distribution {
        self.distribution_on_torch.unwrap_or(self.distribution)
    }

    /// Returns the plan with one more warning.
    #[must_use]
    pub fn with_warning(mut self, warning: Warning) -> Self {
        self.warnings.push(warning);
        self
    }

    /// The shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type of the tensor.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The distribution of the values.
    pub fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// The fans that the numbers were computed from, if they depend on fans.
    pub fn fans(&self) -> Option<Fans> {
        self.fans
    }

    /// The warnings about the plan. The library prints nothing: it is up to the caller to show them.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns of the tensor as a matrix: the rows are the first axis, all other axes are flattened to
    /// columns. A scalar is a matrix of one row and one column.
    pub(crate) fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [rows, rest @ ..] => (*rows, rest.iter().product()),
        }
    }

    /// The blocks of a plan of blocks ([`Distribution::Blocks`]). Any other plan has none.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether the tensor has elements outside of all blocks. They are 0.
    pub(crate) fn has_background(&self) -> bool {
        self.blocks.iter().map(|block| block.plan.len()).sum::<usize>() < self.len()
    }
}

impl Block {
    /// The block whose first element is at the index `start` of the whole tensor.
    ///
    /// `axes` are the axes of the whole tensor that the axes of the block run along, in the order of the block's axes.
    /// Along all other axes the block has one element. `suffix` is appended to the tensor's name for a block that is
    /// drawn as a matrix.
    pub(crate) fn new(start: Vec<usize>, axes: Vec<usize>, suffix: String, plan: Plan) -> Self {
        debug_assert_eq!(axes.len(), plan.shape.len());
        Self { start, axes, suffix, plan }
    }

    /// The plan of the block. Its shape is the shape of the block.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The index in the whole tensor of the block's first element.
    pub fn start(&self) -> &[usize] {
        &self.start
    }

    /// The axes of the whole tensor that the axes of the block run along, in the order of the block's axes. Along all
    /// other axes the block has one element.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// The text that the native stream appends to the tensor's name for a block that is drawn as a matrix: `[1]` for
    /// block 1, `[3][0]` for block 0 of tensor 3 of a stack.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The size of the block along each axis of the whole tensor.
    pub fn extent(&self) -> Vec<usize> {
        let mut extent = vec![1; self.start.len()];
        self.axes.iter().zip(&self.plan.shape).for_each(|(&axis, &size)| extent[axis] = size);
        extent
    }
}
