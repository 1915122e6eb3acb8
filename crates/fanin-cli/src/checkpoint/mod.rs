//! Checkpoints in the safetensors format: eight bytes of length, a JSON header, the values.

pub mod header;
pub mod read;
pub mod write;
