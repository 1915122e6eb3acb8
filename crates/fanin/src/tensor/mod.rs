//! Views of memory as tensors. Streams write their values through these views.

mod copy;
mod offsets;
mod strides;
mod tensor_mut;

pub(crate) use offsets::Order;
pub use tensor_mut::TensorMut;
