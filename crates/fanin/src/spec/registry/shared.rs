//! Citations and arguments that several entries of the registry share.

use crate::error::SpecError;
use crate::plan::Truncation;
use crate::spec::arguments::Arguments;

pub(super) const GLOROT: &str =
    "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward neural networks";
pub(super) const HE: &str = "He, Zhang, Ren, Sun 2015, Delving deep into rectifiers, section 2.2";

/// Returns the value of the argument `method` of a truncated normal distribution. Returns `None` if the spec does not
/// have the argument.
pub(super) fn method(arguments: &Arguments<'_>) -> Result<Option<Truncation>, SpecError> {
    arguments.choice("method", [Truncation::Rejection, Truncation::InverseCdf], Truncation::name)
}
