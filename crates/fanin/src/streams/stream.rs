//! The trait of all streams.

use crate::dtype::Element;
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;

/// A source of random values that can fill a tensor according to any [`Plan`].
///
/// [`NativeTensor`](super::native::NativeTensor) computes the value at each index as a pure function of seed, tensor
/// name and index. [`Torch`](super::torch::Torch) draws PyTorch's values in PyTorch's order. With the feature
/// `rand_core`, `FromRng` draws from any generator of the `rand` crates.
pub trait Stream {
    /// Fills `tensor`, which must have the plan's shape and element type.
    ///
    /// # Errors
    /// `Length` or `ElementType` if `tensor` has not the plan's shape or type; `BoundsOverflow`, `Method`, `Feature`,
    /// `Memory` and `ShapeOverflow` as described for [`Plan::fill`]. No value has been written then.
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error>;

    /// Fills `tensor` with the region of the plan that begins at the index `start` and has the shape of `tensor`.
    ///
    /// The values are bit-identical to filling the whole tensor and slicing it. Values outside of the region are not
    /// computed, except for `orthogonal`, where each entry depends on all Gaussian vectors.
    ///
    /// # Errors
    /// The errors of [`Stream::fill`]; `Region` if the region exceeds the plan's shape; `NoRandomAccess` if the stream
    /// can only be read from its beginning and the region is not the whole tensor.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error>;
}

impl Plan {
    /// Fills `buffer`, the memory of a whole tensor in row-major order, with values from `stream`.
    ///
    /// # Errors
    /// No value has been written when an error is returned.
    ///
    /// * `Length` or `ElementType`: the buffer has not the plan's number of elements or its type.
    /// * `BoundsOverflow`: the truncation bounds are infinite, or too large for the type, on a stream that needs finite
    ///   ones.
    /// * `Method`: the stream does not implement the plan's algorithm.
    /// * `Feature`: the build lacks a cargo feature that the fill needs.
    /// * `Memory`: the temporary memory that the fill needs cannot be allocated.
    /// * `ShapeOverflow`: the torch stream would consume more words than can be counted.
    pub fn fill<E: Element>(&self, buffer: &mut [E], stream: &mut dyn Stream) -> Result<(), Error> {
        stream.fill(self, TensorMut::contiguous(buffer, self.shape())?)
    }
}
