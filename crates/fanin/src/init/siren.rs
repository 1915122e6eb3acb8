//! Initializers of SIREN, a network whose nonlinearity is the sine (Sitzmann et al. 2020).

use super::initializer::{Initializer, empty_plan, initializer, positive, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::shape::AxisLayout;

/// An initializer of a layer of a SIREN network. Created by [`siren`] and [`siren_first`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Siren {
    /// The factor omega in `sin(omega * (W x + bias))` of a hidden layer. `None` for the first layer.
    omega: Option<f64>,
    layout: AxisLayout,
    groups: usize,
}

/// Returns an initializer of U[-b, b) with `b = sqrt(6 / fan_in) / omega`, for the hidden layers of a SIREN network.
///
/// A hidden layer computes `sin(omega * (W x + bias))`. `omega` is 30 by default ([`Siren::omega`]). The shape must
/// have two axes or more.
///
/// Source: Sitzmann et al. 2020, Implicit neural representations with periodic activation functions, arXiv 2006.09661,
/// section 3.2.
///
/// Spec: `siren(omega=30, layout=out_in, groups=1)`.
///
/// ```
/// use fanin::{DType, init};
/// let plan = init::siren().resolve(&[256, 256], DType::F32)?;
/// assert!((plan.bounds().1 - (6.0f64 / 256.0).sqrt() / 30.0).abs() < 1e-15);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn siren() -> Siren {
    Siren { omega: Some(30.0), layout: AxisLayout::OutIn, groups: 1 }
}

/// Returns an initializer of U[-b, b) with `b = 1 / fan_in`, for the first layer of a SIREN network.
///
/// The shape must have two axes or more. Source: `first_layer_sine_init` in the code of Sitzmann et al. 2020.
///
/// Spec: `siren_first(layout=out_in, groups=1)`.
pub const fn siren_first() -> Siren {
    Siren { omega: None, layout: AxisLayout::OutIn, groups: 1 }
}

impl Siren {
    /// Sets the factor `omega` in `sin(omega * (W x + bias))`. `omega` must be finite and greater than 0. This method
    /// has no effect on [`siren_first`].
    #[must_use]
    pub const fn omega(self, omega: f64) -> Self {
        Self { omega: if self.omega.is_some() { Some(omega) } else { None }, ..self }
    }
}

impl Initializer for Siren {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        self.omega.map_or(Ok(()), |omega| positive("siren", "omega", omega))?;
        if let Some(plan) = empty_plan(shape, dtype)? {
            return Ok(plan.with_fans(fans));
        }
        let fan_in = fans.fan_in as f64;
        let bound = match self.omega {
            None => 1.0 / fan_in,
            Some(omega) => (6.0 / fan_in).sqrt() / omega,
        };
        Ok(Plan::new(shape, dtype, Distribution::Uniform { low: -bound, high: bound })?.with_fans(fans))
    }
}

impl std::fmt::Display for Siren {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, omega) = match &self.omega {
            None => ("siren_first", None),
            Some(omega) => ("siren", unless(omega, 30.0)),
        };
        let arguments = [
            ("omega", omega),
            ("layout", unless(&self.layout, AxisLayout::OutIn)),
            ("groups", unless(&self.groups, 1)),
        ];
        write_spec(f, name, &arguments)
    }
}

initializer!(Siren, layout, groups);
