//! The description of a scheme: name, parameters, formula and source.

use super::arguments::Arguments;
use crate::error::SpecError;
use crate::init::Init;

/// A scheme that a spec can name, with its documentation. [`schemes`](super::schemes) lists them all.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scheme {
    /// The name in specs: torch's without the underscore.
    pub name: &'static str,
    /// The parameters in torch's order, each with its default value. A required parameter has no default.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
    /// The distribution or the values that the scheme writes, as a formula of the parameters.
    pub formula: &'static str,
    /// The paper or the library that defines the scheme; empty for the elementary ones.
    pub source: &'static str,
    /// Makes the initializer from the arguments of a spec.
    pub(super) build: fn(&Arguments<'_>) -> Result<Init, SpecError>,
}
