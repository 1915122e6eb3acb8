//! `Plan`, and `Block`: a part of a tensor, planned separately.

use super::distribution::Distribution;
use crate::dtype::DType;
use crate::shape::Fans;
use crate::warning::Warning;

/// The shape, the element type and the distribution of a tensor. The parameters of the distribution have been computed
/// and checked, but no value has been generated.
///
/// A plan is created by [`Initializer::resolve`](crate::Initializer::resolve), or from a distribution by [`Plan::new`].
/// All parameters are valid, so a fill returns only the errors that [`Plan::fill`] lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DType,
    pub(super) distribution: Distribution,
    /// The distribution on the torch stream, if it differs from `distribution`. Parameters can differ in the last bit,
    /// because torch computes some of them with the C library of the machine.
    pub(super) distribution_on_torch: Option<Distribution>,
    pub(super) fans: Option<Fans>,
    pub(super) warnings: Vec<Warning>,
    /// The blocks, if the distribution is [`Distribution::Blocks`]. Otherwise empty.
    pub(super) blocks: Vec<Block>,
    /// The inner plan of [`Distribution::Mapped`], such as `uniform(0, 1)` in `exp(uniform(0, 1))`. `None` for every
    /// other distribution.
    pub(super) argument: Option<Box<Plan>>,
}

/// A part of a tensor that has a separate plan. Examples are one tensor of a fused parameter, one tensor of a stack,
/// and the matrix at one kernel position.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub(super) start: Vec<usize>,
    pub(super) axes: Vec<usize>,
    pub(super) suffix: String,
    pub(super) plan: Plan,
}

impl Plan {
    /// Returns this plan with the given fans (see [`Plan::fans`]). The distribution does not change. `fans` should be
    /// the fans from which the caller computed the parameters of the distribution.
    #[must_use]
    pub fn with_fans(mut self, fans: Fans) -> Self {
        self.fans = Some(fans);
        self
    }

    /// Returns the plan with a separate distribution for the torch stream. The parameters of `distribution` can differ
    /// between machines, because torch computes some of them with the C library. All other streams use
    /// [`Plan::distribution`], which is the same on every machine.
    pub(crate) fn with_distribution_on_torch(self, distribution: Distribution) -> Self {
        Self { distribution_on_torch: (distribution != self.distribution).then_some(distribution), ..self }
    }

    /// Returns the distribution for the torch stream. Its parameters can differ from those of [`Plan::distribution`] in
    /// the last bit.
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

    /// Returns `(rows, columns)` of the tensor as a matrix. All axes except the first are flattened to the columns.
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
    /// Creates a block that begins at the index `start` of the whole tensor. See [`Block::axes`] and [`Block::suffix`].
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

    /// Returns the axes of the whole tensor that correspond to the axes of the block, in the order of the block's axes.
    /// The block has length 1 along every other axis of the tensor.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// Returns the suffix of the block, such as `[1]` for block 1, and `[3][0]` for block 0 of tensor 3 of a stack. The
    /// suffix is empty if a single matrix is the only block.
    ///
    /// On the native stream, some blocks, such as `orthogonal` and `sparse` matrices, are filled as if each block were
    /// a separate tensor. The name of this separate tensor is the name of the whole tensor followed by the suffix.
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
