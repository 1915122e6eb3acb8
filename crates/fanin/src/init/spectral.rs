//! Spectral initialization (Yang et al. 2023).

use super::initializer::{Initializer, empty_plan, initializer, non_negative, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, finite};
use crate::shape::AxisLayout;

/// An initializer of a normal distribution. With the default `sigma`, the spectral norm of the weight is of the order
/// of `sqrt(fan_out / fan_in)`. Created by [`spectral`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spectral {
    sigma: f64,
    layout: AxisLayout,
    groups: usize,
}

/// Returns an initializer of N(0, std^2) with `std = sigma / sqrt(fan_in) * min(1, sqrt(fan_out / fan_in))`.
///
/// `sigma` is 1 by default ([`Spectral::sigma`]). With this value, the spectral norm of a large matrix is 1 to 2 times
/// `sqrt(fan_out / fan_in)`. If all widths of a network grow by the same factor, the root mean square of the features
/// stays about the same. The shape must have two axes or more.
///
/// Source: parametrization 1 of Yang, Simon and Bernstein 2023, A spectral condition for feature learning, arXiv
/// 2310.17813.
///
/// Spec: `spectral(sigma=1, layout=out_in, groups=1)`.
///
/// ```
/// use fanin::{DType, init};
/// assert_eq!(init::spectral().resolve(&[64, 256], DType::F32)?.std(), 1.0 / 32.0);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn spectral() -> Spectral {
    Spectral { sigma: 1.0, layout: AxisLayout::OutIn, groups: 1 }
}

impl Spectral {
    /// Sets the number by which the standard deviation is multiplied: finite and not negative.
    #[must_use]
    pub const fn sigma(self, sigma: f64) -> Self {
        Self { sigma, ..self }
    }
}

impl Initializer for Spectral {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        finite("spectral", "sigma", self.sigma, dtype)?;
        non_negative("spectral", "sigma", self.sigma)?;
        if let Some(plan) = empty_plan(shape, dtype)? {
            return Ok(plan.with_fans(fans));
        }
        let (fan_in, fan_out) = (fans.fan_in as f64, fans.fan_out as f64);
        let std = self.sigma / fan_in.sqrt() * (fan_out / fan_in).sqrt().min(1.0);
        Ok(Plan::new(shape, dtype, Distribution::Normal { mean: 0.0, std })?.with_fans(fans))
    }
}

impl std::fmt::Display for Spectral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = [
            ("sigma", unless(&self.sigma, 1.0)),
            ("layout", unless(&self.layout, AxisLayout::OutIn)),
            ("groups", unless(&self.groups, 1)),
        ];
        write_spec(f, "spectral", &arguments)
    }
}

initializer!(Spectral, layout, groups);
