//! Checks and reports on checkpoints. Results are typed; they render as JSON and, for [`inspect`], as HTML. Nothing is
//! printed.
//!
//! | module | what it answers |
//! |---|---|
//! | [`verify`] | does a checkpoint match its recipe: distributions and, with a seed, exact values |
//! | [`audit`] | what do the tensors look like, without a recipe: fresh, trained, repeated, uninitialized |
//! | [`inspect`] | what does a checkpoint hold: moments, histograms, spectra |
//! | [`diff`] | how do two checkpoints differ |
//! | [`explain`] | what does a spec do to a shape, and to a signal |
//! | [`check`] | the tests that these are made of |

#![forbid(unsafe_code)]

pub mod audit;
pub mod check;
pub mod describe;
pub mod diff;
pub mod error;
pub mod explain;
pub mod histogram;
pub mod inspect;
pub mod stats;
pub mod verify;

pub use error::{Error, Result};
