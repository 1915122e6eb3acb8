//! Checkpoints in the safetensors format: eight bytes of length, a JSON header, the values.

pub(crate) mod boxes;
pub mod header;
pub mod read;
pub mod set;
mod target;
pub(crate) mod values;
pub mod write;

pub use target::Target;
pub(crate) use target::clean_up_when_interrupted;
