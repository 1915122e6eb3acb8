//! `Stream`, the trait of all streams.

use crate::dtype::Element;
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;

/// A source of random values that can fill a tensor according to a [`Plan`].
///
/// In a [`NativeTensor`](super::native::NativeTensor), a value depends only on the seed, the tensor's name and the
/// index. [`Torch`](super::torch::Torch) draws PyTorch's values in PyTorch's order. With the feature `rand_core`,
/// `FromRng` draws from any generator of the `rand` crates.
pub trait Stream {
    /// Fills `tensor`, which must have the plan's shape and element type.
    ///
    /// # Errors
    /// `Length` if `tensor` does not have the plan's shape. `ElementType` if `tensor` does not have the plan's element
    /// type. [`Plan::fill`] describes the other errors: `BoundsOverflow`, `Method`, `Unsupported`, `Memory` and
    /// `ShapeOverflow`. If an error is returned, no value has been written. The only exception is the error `Memory`
    /// for a plan of blocks: some blocks may have been written.
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error>;

    /// Fills `tensor` with one region of the tensor that `plan` describes. The region begins at the index `start`, and
    /// has the shape of `tensor`.
    ///
    /// The values are bit-identical to this region of a fill of the whole tensor. Values outside the region are
    /// computed only if they are needed, as in these examples:
    ///
    /// * `orthogonal`: each entry depends on the whole Gaussian matrix from which the orthogonal matrix is computed.
    /// * Truncated normal values by rejection on [`Torch`](super::torch::Torch): the state of the generator after the
    ///   fill depends on all values of the tensor.
    ///
    /// # Errors
    /// `Region` if the region exceeds the plan's shape. `NoRandomAccess` if the stream can fill only whole tensors, and
    /// the region is not the whole tensor. Also returns the errors of [`Stream::fill`] except `Length`.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error>;
}

impl Plan {
    /// Fills `buffer`, the memory of a whole tensor in row-major order, with values from `stream`.
    ///
    /// # Errors
    /// If an error is returned, no value has been written. The only exception is the error `Memory` for a plan of
    /// blocks: some blocks may have been written.
    ///
    /// * `Length`: the length of `buffer` is not the plan's number of elements.
    /// * `ElementType`: the element type of `buffer` is not the plan's element type.
    /// * `BoundsOverflow`: the stream needs finite truncation bounds. The plan's bounds, or their difference, are
    ///   infinite or too large for the element type.
    /// * `Method`: the stream does not implement the algorithm that the plan requires, such as rejection sampling.
    /// * `Unsupported`: the plan applies a function to random values, as `log_uniform` does. Only the native stream
    ///   supports such plans.
    /// * `Memory`: the temporary memory of the fill cannot be allocated.
    /// * `ShapeOverflow`: the tensor is too large for the torch stream. For example, a normal fill would consume 2^64
    ///   or more words (32-bit integers of the generator).
    pub fn fill<E: Element>(&self, buffer: &mut [E], stream: &mut dyn Stream) -> Result<(), Error> {
        stream.fill(self, TensorMut::contiguous(buffer, self.shape())?)
    }
}
