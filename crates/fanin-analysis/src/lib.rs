//! Checks and reports on checkpoints. Results are typed; they serialize to JSON and, for [`inspect`], render as HTML.
//! Nothing is printed.
//!
//! | module | what it answers |
//! |---|---|
//! | [`verify`] | does a checkpoint match its recipe: distributions and, with a seed, exact values |
//! | [`audit`] | what are the values of each tensor, without a recipe: fresh, trained, repeated, uninitialized |
//! | [`inspect`] | what does a checkpoint contain: moments, histograms, spectra |
//! | [`diff`] | how do two checkpoints differ |
//! | [`explain`] | what does a spec give for a shape, and what does the layer do to a signal |
//! | [`check`] | the tests that these modules use |

#![forbid(unsafe_code)]

pub mod audit;
pub mod check;
pub mod describe;
pub mod diff;
mod error;
pub mod explain;
mod histogram;
pub mod inspect;
mod signs;
pub mod stats;
pub mod verify;

pub use error::{Error, Result};
