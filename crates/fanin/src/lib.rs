//! Weight initialization for neural networks.

mod dist;
mod element;
pub mod engine;
mod error;
mod gain;
pub mod init;
pub mod interop;
mod linalg;
mod math;
mod plan;
mod shape;
mod simd;
mod stream;
mod tensor;
pub mod torch;

pub use element::{DType, Element, Values};
pub use error::{Error, SpecError, Warning};
pub use gain::{Gain, Nonlinearity};
pub use init::Initializer;
pub use plan::{Law, Plan, Truncation};
pub use shape::{Fan, Fans, Layout, element_count};
pub use simd::Level;
#[cfg(feature = "rand_core")]
pub use stream::FromRng;
pub use stream::{Job, Native, NativeTensor, Prepared, Stream, Torch, canonical_name};
pub use tensor::TensorMut;

/// The element types that Rust itself does not have yet.
pub use half;
