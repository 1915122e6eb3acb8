//! What is shown: tables on standard output, progress and warnings on standard error.

#[cfg(feature = "command")]
pub mod histogram;
#[cfg(feature = "command")]
pub mod law;
pub mod names;
pub mod numbers;
#[cfg(feature = "command")]
pub mod progress;
#[cfg(feature = "command")]
mod say;
#[cfg(feature = "command")]
pub mod stats;
#[cfg(feature = "command")]
pub mod table;

#[cfg(feature = "command")]
pub use say::{grouped, json, line, say, warnings};
