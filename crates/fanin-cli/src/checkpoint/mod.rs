//! Checkpoints in the safetensors format: eight bytes of length, a JSON header, the values.

pub mod boxes;
mod draw;
pub mod header;
mod parts;
pub mod read;
pub mod set;
pub mod shards;
pub mod stretch;
mod target;
pub(crate) mod torch;
mod unfinished;
pub(crate) mod values;
pub mod write;

pub use target::{Existing, Form, Target};
pub(crate) use unfinished::{clean_up_when_interrupted, write_whole};
