//! Sitzmann et al. 2020: layers whose nonlinearity is a sine.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::shape::AxisLayout;

/// A layer of a network of sines: made by [`siren`] or [`siren_first`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Siren {
    /// `None`: the first layer.
    omega: Option<f64>,
}

/// U[-b, b), `b = sqrt(6 / fan_in) / omega`: a hidden layer of a SIREN, whose sums are multiplied by `omega` before the
/// sine, 30 unless [`Siren::omega`] says another (Sitzmann et al. 2020, Implicit neural representations with periodic
/// activation functions, arXiv 2006.09661, section 3.2).
///
/// Two axes or more. Spec: `siren(omega=30)`.
pub const fn siren() -> Siren {
    Siren { omega: Some(30.0) }
}

/// U[-1 / fan_in, 1 / fan_in): the first layer of a SIREN (the authors' code, first_layer_sine_init).
///
/// Two axes or more. Spec: `siren_first`.
pub const fn siren_first() -> Siren {
    Siren { omega: None }
}

impl Siren {
    /// The factor before the sine (finite, > 0). The first layer's distribution has none.
    #[must_use]
    pub const fn omega(self, omega: f64) -> Self {
        Self { omega: if self.omega.is_some() { Some(omega) } else { None } }
    }
}

impl Initializer for Siren {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = AxisLayout::OutIn.fans(shape)?;
        let fan_in = fans.fan_in.max(1) as f64;
        let bound = match self.omega {
            None => 1.0 / fan_in,
            Some(omega) if omega > 0.0 && omega.is_finite() => (6.0 / fan_in).sqrt() / omega,
            Some(omega) => {
                return Err(Error::Argument {
                    scheme: "siren",
                    argument: "omega",
                    value: omega,
                    requirement: "must be finite and greater than 0".to_owned(),
                });
            }
        };
        Ok(Plan::new(shape, dtype, Distribution::Uniform { low: -bound, high: bound })?.with_fans(fans))
    }
}

impl std::fmt::Display for Siren {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.omega {
            None => f.write_str("siren_first"),
            Some(omega) => write_spec(f, "siren", &[("omega", unless(omega, 30.0))]),
        }
    }
}

initializer!(Siren);
