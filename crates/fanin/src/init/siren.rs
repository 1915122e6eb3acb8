//! SIREN: networks whose nonlinearity is a sine (Sitzmann et al. 2020).

use super::initializer::{Initializer, initializer, positive, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::shape::AxisLayout;

/// Initializer of a layer of a SIREN. Created by [`siren`] and [`siren_first`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Siren {
    /// The factor omega in `sin(omega * (W x + b))`, for a hidden layer. `None` for the first layer, whose weights do
    /// not depend on omega.
    omega: Option<f64>,
}

/// Returns an initializer of U[-b, b) with `b = sqrt(6 / fan_in) / omega`, for the hidden layers of a SIREN (Sitzmann
/// et al. 2020, Implicit neural representations with periodic activation functions, arXiv 2006.09661, section 3.2).
///
/// The layer computes `sin(omega * (W x + b))`. `omega` is 30 by default ([`Siren::omega`]). The shape must have two axes or more.
///
/// Spec: `siren(omega=30)`.
///
/// ```
/// use fanin::{DType, init};
/// let plan = init::siren().resolve(&[256, 256], DType::F32)?;
/// assert!((plan.bounds().1 - (6.0f64 / 256.0).sqrt() / 30.0).abs() < 1e-15);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn siren() -> Siren {
    Siren { omega: Some(30.0) }
}

/// Returns an initializer of U[-b, b) with `b = 1 / fan_in`, for the first layer of a SIREN (`first_layer_sine_init` in
/// the code of Sitzmann et al. 2020).
///
/// The shape must have two axes or more.
///
/// Spec: `siren_first`.
pub const fn siren_first() -> Siren {
    Siren { omega: None }
}

impl Siren {
    /// Sets the factor omega in `sin(omega * (W x + b))`, which must be finite and greater than 0. Omega has no effect
    /// on [`siren_first`].
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
            Some(omega) => {
                positive("siren", "omega", omega)?;
                (6.0 / fan_in).sqrt() / omega
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
