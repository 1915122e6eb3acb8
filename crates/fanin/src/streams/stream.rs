//! `Stream`, the trait of all streams.

use crate::dtype::Element;
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;

/// A source of random values that can fill a tensor according to a [`Plan`].
///
/// [`NativeTensor`](super::native::NativeTensor) computes the value at each index as a function of the seed, the
/// tensor's name and the index only. [`Torch`](super::torch::Torch) draws PyTorch's values in PyTorch's order. With the
/// feature `rand_core`, `FromRng` draws from any generator of the `rand` crates.
pub trait Stream {
    /// Fills `tensor`, which must have the plan's shape and element type.
    ///
    /// # Errors
    /// `Length` if `tensor` does not have the plan's shape. `ElementType` if `tensor` does not have the plan's element
    /// type. `BoundsOverflow`, `Method`, `Unsupported`, `Memory` and `ShapeOverflow` as described for [`Plan::fill`].
    /// If an error is returned, no value has been written.
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error>;

    /// Fills `tensor` with one region of the tensor that `plan` describes. The region begins at the index `start`, and
    /// has the shape of `tensor`.
    ///
    /// The values are bit-identical to the values that a fill of the whole tensor writes to this region. Values outside
    /// the region are computed only if they are needed. For example, each entry of an `orthogonal` matrix depends on
    /// the whole Gaussian matrix. [`Torch`](super::torch::Torch) also draws all values of a truncated normal tensor if
    /// it uses rejection, because the state of the generator after the fill depends on all values.
    ///
    /// # Errors
    /// Returns the same errors as [`Stream::fill`], `Region` if the region exceeds the plan's shape, and
    /// `NoRandomAccess` if the stream can fill only whole tensors, and the region is not the whole tensor.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error>;
}

impl Plan {
    /// Fills `buffer`, the memory of a whole tensor in row-major order, with values from `stream`.
    ///
    /// # Errors
    /// If an error is returned, no value has been written.
    ///
    /// * `Length` or `ElementType`: the buffer does not have the plan's number of elements or the plan's type.
    /// * `BoundsOverflow`: the stream needs finite truncation bounds, and the plan's bounds are infinite or too large
    ///   for the element type.
    /// * `Method`: the stream does not implement the algorithm that the plan requires.
    /// * `Unsupported`: the plan applies a function to random values, and the stream is not the native stream.
    /// * `Memory`: the temporary memory that the fill needs cannot be allocated.
    /// * `ShapeOverflow`: the tensor is too large for the torch stream. For example, a normal fill would consume 2^64
    ///   or more words (32-bit integers of the generator).
    pub fn fill<E: Element>(&self, buffer: &mut [E], stream: &mut dyn Stream) -> Result<(), Error> {
        stream.fill(self, TensorMut::contiguous(buffer, self.shape())?)
    }
}
