//! Saxe et al. 2013.

use super::{Initializer, initializer, unless, write_spec};
use crate::element::DType;
use crate::error::Error;
use crate::gain::Gain;
use crate::plan::{Law, Plan};

/// A semi-orthogonal matrix: made by [`orthogonal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orthogonal {
    pub(super) gain: Gain,
}

/// A Haar-distributed semi-orthogonal matrix times a gain (Saxe et al. 2013; uniform over the group as Mezzadri 2007
/// asks).
///
/// Two axes or more, trailing ones flattened to `[shape[0], rest]`: the rows are orthonormal if there are no more of
/// them than columns, else the columns are. f16 and bf16 are computed in f32 and rounded once.
///
/// The torch stream factors torch's own Gaussian matrix and agrees with torch to rounding, not to the bit (LAPACK
/// builds differ among themselves); the native stream multiplies Householder reflections (Stewart 1980), to the bit.
///
/// Spec: `orthogonal(gain=1)`; the gain may be a nonlinearity's name, `orthogonal(gain=relu)`.
#[doc(alias = "orthogonal_")]
pub const fn orthogonal() -> Orthogonal {
    Orthogonal { gain: Gain::Value(1.0) }
}

impl Orthogonal {
    /// The factor (finite): a number or a nonlinearity.
    #[must_use]
    pub fn gain(self, gain: impl Into<Gain>) -> Self {
        Self { gain: gain.into() }
    }

    /// The factor, as a number.
    pub fn gain_value(self) -> f64 {
        self.gain.value()
    }
}

impl Initializer for Orthogonal {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Law::Orthogonal { gain: self.gain.value() })
    }
}

impl std::fmt::Display for Orthogonal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "orthogonal", &[("gain", unless(&self.gain, Gain::Value(1.0)))])
    }
}

initializer!(Orthogonal);
