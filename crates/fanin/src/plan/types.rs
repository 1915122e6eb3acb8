//! `Plan`, and `Block`: a part of a tensor, planned separately.

use super::distribution::Distribution;
use crate::dtype::DType;
use crate::shape::Fans;
use crate::warning::Warning;

/// The shape, the element type and the distribution of a tensor. The parameters of the distribution have been computed
/// and checked, but no value has been generated.
///
/// A plan is created by [`Initializer::resolve`](crate::Initializer::resolve), or from a distribution by [`Plan::new`].
/// All parameters are valid, so a fill does not fail because of an invalid parameter. [`Plan::fill`] lists the other
/// errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) distribution: Distribution,
    /// The distribution on the torch stream, if it differs from `distribution`. torch computes some parameters with the
    /// C library of the machine, so they can differ from those of `distribution` in the last bit.
    pub(super) distribution_on_torch: Option<Distribution>,
    pub(super) fans: Option<Fans>,
    pub(super) warnings: Vec<Warning>,
    /// The blocks, if the distribution is [`Distribution::Blocks`]. Otherwise empty.
    pub(super) blocks: Vec<Block>,
    /// The plan of the values to which functions are applied, if the distribution is [`Distribution::Mapped`].
    pub(super) argument: Option<Box<Plan>>,
}

/// A part of a tensor, planned separately: one of the tensors fused into a parameter, one tensor of a stack, or the
/// matrix at one position of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub(super) start: Vec<usize>,
    pub(super) axes: Vec<usize>,
    pub(super) suffix: String,
    pub(super) plan: Plan,
}

impl Plan {
    /// Returns this plan with the given fans, which [`Plan::fans`] then returns. The parameters of the plan should have
    /// been computed from these fans.
    #[must_use]
    pub fn with_fans(mut self, fans: Fans) -> Self {
        self.fans = Some(fans);
        self
    }

    /// Returns the plan with a separate distribution for the torch stream.
    ///
    /// torch computes some parameters of the distribution with the machine's C library. Other streams do not use these
    /// parameters, so that their values are the same on every machine.
    pub(crate) fn with_distribution_on_torch(self, distribution: Distribution) -> Self {
        Self { distribution_on_torch: (distribution != self.distribution).then_some(distribution), ..self }
    }

    /// Returns the distribution for the torch stream. Its parameters can differ from the parameters of
    /// [`Plan::distribution`] in the last bit, because torch computes some parameters with the C library.
    pub(crate) fn distribution_on_torch(&self) -> Distribution {
        self.distribution_on_torch.unwrap_or(self.distribution)
    }

    /// Returns the plan with one more warning.
    #[must_use]
    pub fn with_warning(mut self, warning: Warning) -> Self {
        self.warnings.push(warning);
        self
    }

    /// Returns the shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the element type of the tensor.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the distribution of the values.
    pub fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// Returns the fans from which the parameters of the distribution were computed. Returns `None` if the scheme does
    /// not depend on fans, or if the blocks of the plan have different fans.
    pub fn fans(&self) -> Option<Fans> {
        self.fans
    }

    /// Returns the warnings about the plan. fanin does not print warnings, so the caller should show them.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns true if the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of rows and the number of columns of the tensor as a matrix. The first axis becomes the rows.
    /// All other axes are flattened to the columns. A scalar is a matrix with one row and one column.
    pub(crate) fn matrix(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [] => (1, 1),
            [rows, rest @ ..] => (*rows, rest.iter().product()),
        }
    }

    /// Returns the blocks of the tensor if the distribution is [`Distribution::Blocks`]. Otherwise returns an empty
    /// slice.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns true if a plan of blocks has elements outside all blocks. Such elements are 0.
    pub(crate) fn has_background(&self) -> bool {
        self.blocks.iter().map(|block| block.plan.len()).sum::<usize>() < self.len()
    }
}

impl Block {
    /// Creates a block whose first element is at the index `start` of the whole tensor.
    ///
    /// For each axis of the block, `axes` has the index of the corresponding axis of the whole tensor. The block has
    /// the length 1 along every other axis of the tensor. `suffix` is appended to the tensor's name (see
    /// [`Block::suffix`]).
    pub(crate) fn new(start: Vec<usize>, axes: Vec<usize>, suffix: String, plan: Plan) -> Self {
        debug_assert_eq!(axes.len(), plan.shape.len());
        Self { start, axes, suffix, plan }
    }

    /// Returns the plan of the block. The shape of this plan is the shape of the block.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the index of the block's first element in the whole tensor.
    pub fn start(&self) -> &[usize] {
        &self.start
    }

    /// Returns, for each axis of the block, the index of the corresponding axis of the whole tensor. The block has the
    /// length 1 along every other axis of the tensor.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// Returns the suffix of the block, such as `[1]` for block 1, and `[3][0]` for block 0 of tensor 3 of a stack.
    ///
    /// On the native stream, some blocks, such as `orthogonal` and `sparse` matrices, are drawn like separate tensors.
    /// The name of such a separate tensor is the name of the whole tensor followed by this suffix.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// Returns the size of the block along each axis of the whole tensor.
    pub fn extent(&self) -> Vec<usize> {
        let mut extent = vec![1; self.start.len()];
        self.axes.iter().zip(&self.plan.shape).for_each(|(&axis, &size)| extent[axis] = size);
        extent
    }
}
