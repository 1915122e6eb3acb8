//! Checkpoints in the safetensors format: eight bytes of length, a JSON header, the values.

#[cfg(feature = "command")]
pub mod boxes;
#[cfg(feature = "command")]
mod draw;
pub mod header;
#[cfg(feature = "command")]
mod interrupt;
#[cfg(feature = "command")]
mod parts;
pub mod read;
#[cfg(feature = "command")]
pub mod runs;
#[cfg(feature = "command")]
pub mod set;
#[cfg(feature = "command")]
pub mod shards;
#[cfg(feature = "command")]
pub mod stretch;
#[cfg(feature = "command")]
mod target;
#[cfg(feature = "command")]
pub(crate) mod torch;
#[cfg(feature = "command")]
mod unfinished;
#[cfg(feature = "command")]
pub(crate) mod values;
#[cfg(feature = "command")]
pub mod write;

#[cfg(feature = "command")]
pub(crate) use interrupt::clean_up_when_interrupted;
#[cfg(feature = "command")]
pub use target::{Existing, Form, Target};
#[cfg(feature = "command")]
pub(crate) use unfinished::write_whole;
