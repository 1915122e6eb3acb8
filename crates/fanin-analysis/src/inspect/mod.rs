//! Inspection of a checkpoint: for each tensor what was planned, what was measured, and warnings.
//!
//! An [`Inspection`] serializes to JSON as `docs/inspect.schema.json` describes, and renders as an HTML page with
//! [`Inspection::to_html`].

mod depth;
mod expected;
mod inspection;
mod json;
mod page;
mod spectrum;
mod warnings;

pub use crate::stats::Stats;
pub use inspection::{Histogram, Inspection, MISSING, Request, TensorInspection, Total};
pub use page::PAGE_BEGIN;
pub use spectrum::{Method, Spectrum};
