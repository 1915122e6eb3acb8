//! Checks checkpoints of initial weights, and reports their contents. The results are Rust types that serialize to
//! JSON. The result of [`inspect`] also renders as an HTML page. The crate prints nothing.
//!
//! | module | purpose |
//! |---|---|
//! | [`verify`] | tests whether a checkpoint matches its recipe: the distributions and, with a seed, the exact values |
//! | [`audit`] | classifies tensors without a recipe: initialized (fresh), trained, repeated, uninitialized |
//! | [`inspect`] | reports the contents of a checkpoint: moments, histograms, spectra |
//! | [`diff`] | compares the tensors of two checkpoints |
//! | [`explain`] | explains a spec for a shape: the distribution, and the effect of the layer on a signal |
//! | [`describe`] | describes the distribution of a plan as text |
//! | [`stats`] | computes the moments, the range and the histogram of values |
//! | [`check`] | contains the tests that the other modules use |

#![forbid(unsafe_code)]

pub mod audit;
pub mod check;
mod closed_form;
pub mod describe;
pub mod diff;
mod error;
pub mod explain;
mod histogram;
pub mod inspect;
mod outliers;
mod parallel;
mod signs;
pub mod stats;
mod vectorized;
pub mod verify;

pub use error::{Error, Result};
