//! The gain argument of a scheme.

use crate::nonlinearity::Nonlinearity;

/// The gain argument of a scheme: a number, or the gain of a nonlinearity. The scheme multiplies the weight or its
/// standard deviation by the gain.
///
/// The setters take `impl Into<Gain>`, so both `gain(2.0)` and `gain(Nonlinearity::Relu)` work.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Gain {
    /// A number.
    Value(f64),
    /// The gain of a nonlinearity: [`Nonlinearity::gain`].
    Of(Nonlinearity),
}

impl Gain {
    /// Returns the gain as a number.
    pub fn value(self) -> f64 {
        match self {
            Gain::Value(value) => value,
            Gain::Of(nonlinearity) => nonlinearity.gain(),
        }
    }
}

impl From<f64> for Gain {
    fn from(value: f64) -> Self {
        Gain::Value(value)
    }
}

impl From<Nonlinearity> for Gain {
    fn from(nonlinearity: Nonlinearity) -> Self {
        Gain::Of(nonlinearity)
    }
}

impl std::fmt::Display for Gain {
    /// Prints the number, or the nonlinearity as specs spell it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gain::Value(value) => value.fmt(f),
            Gain::Of(nonlinearity) => nonlinearity.fmt(f),
        }
    }
}
