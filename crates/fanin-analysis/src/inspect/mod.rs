//! Inspects a checkpoint: the planned distribution, the measured statistics and the warnings of each tensor.
//!
//! An [`Inspection`] serializes to JSON, which `docs/inspect.schema.json` describes. [`Inspection::to_html`] renders
//! the inspection as an HTML page.

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
