//! Yang et al. 2023: weights by their spectral norm.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::plan::{Distribution, Plan, finite};
use crate::shape::{AxisLayout, element_count};

/// A normal scaled to a spectral norm: made by [`spectral`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spectral {
    sigma: f64,
    layout: AxisLayout,
}

/// N(0, std^2) with `std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in))`, so that the spectral norm is about
/// `sqrt(fan_out / fan_in)` and features keep their size at any width (Yang, Simon and Bernstein 2023, A spectral condition
/// for feature learning, arXiv 2310.17813, parametrization 1).
///
/// Two axes or more; `sigma` is finite and >= 0. Spec: `spectral(sigma=1, layout=out_in)`.
pub const fn spectral() -> Spectral {
    Spectral { sigma: 1.0, layout: AxisLayout::OutIn }
}

impl Spectral {
    /// The factor (finite, >= 0).
    #[must_use]
    pub const fn sigma(self, sigma: f64) -> Self {
        Self { sigma, ..self }
    }

    /// Which axes are in and out.
    #[must_use]
    pub const fn layout(self, layout: AxisLayout) -> Self {
        Self { layout, ..self }
    }
}

impl Initializer for Spectral {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = self.layout.fans(shape)?;
        finite("spectral", "sigma", self.sigma, dtype)?;
        if self.sigma < 0.0 {
            let requirement = "must be greater than or equal to 0".to_owned();
            return Err(Error::Argument {
                scheme: "spectral",
                argument: "sigma",
                value: self.sigma,
                requirement,
            });
        }
        if element_count(shape)? == 0 {
            let plan = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
            return Ok(plan.with_fans(fans).with_warning(Warning::ZeroElements { shape: shape.to_vec() }));
        }
        let (fan_in, fan_out) = (fans.fan_in as f64, fans.fan_out as f64);
        let std = self.sigma / fan_in.sqrt() * (fan_out / fan_in).sqrt().min(1.0);
        Ok(Plan::new(shape, dtype, Distribution::Normal { mean: 0.0, std })?.with_fans(fans))
    }
}

impl std::fmt::Display for Spectral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments =
            [("sigma", unless(&self.sigma, 1.0)), ("layout", unless(&self.layout, AxisLayout::OutIn))];
        write_spec(f, "spectral", &arguments)
    }
}

initializer!(Spectral);
