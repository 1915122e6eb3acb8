//! Memory to be filled, as a tensor.

mod copy;
mod offsets;
mod strides;
mod tensor_mut;

pub(crate) use offsets::Order;
pub use tensor_mut::TensorMut;
