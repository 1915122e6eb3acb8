//! Checkpoints in the safetensors format: eight bytes of length, a JSON header, the values.

mod boxes;
pub mod header;
pub mod read;
mod target;
mod values;
pub mod write;

pub use target::Target;
pub(crate) use target::clean_up_when_interrupted;
