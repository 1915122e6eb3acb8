//! A scheme: its name, parameters, formula and source.

use super::arguments::Arguments;
use crate::error::SpecError;
use crate::init::Init;

/// A scheme as specs know it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scheme {
    /// The spec's name: torch's without the underscore.
    pub name: &'static str,
    /// The parameters in torch's order, each with its default; a required one has none.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
    /// What it writes.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    pub(super) build: fn(&Arguments<'_>) -> Result<Init, SpecError>,
}
