//! Kaiming (He) initialization (He et al. 2015).

use super::initializer::{Initializer, empty_plan, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::nonlinearity::Nonlinearity;
use crate::plan::{Distribution, Plan, finite};
use crate::shape::{AxisLayout, Fan};
use crate::warning::Warning;

/// An initializer whose values have the variance `gain^2 / fan`. Created by [`kaiming_uniform`] and [`kaiming_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kaiming {
    pub(super) fan: Fan,
    pub(super) nonlinearity: Nonlinearity,
    /// The argument `a` if it has no effect: `a` is not 0, and `nonlinearity` is not `LeakyRelu`. Stored for `Display`
    /// and for a warning of the plan.
    pub(super) unused_slope: Option<f64>,
    pub(super) layout: AxisLayout,
    pub(super) groups: usize,
    pub(super) uniform: bool,
}

/// Returns an initializer of U[-bound, bound) with `bound = gain * sqrt(3 / fan)`.
///
/// The shape must have two axes or more. The fan is fan_in by default ([`Kaiming::fan`]). The gain is sqrt(2) by
/// default, as in torch: the gain of leaky_relu with slope 0 ([`Kaiming::nonlinearity`]). If the tensor has no
/// elements, the plan has a warning and a fill writes nothing.
///
/// Source: the uniform form of He et al. 2015, Delving deep into rectifiers, section 2.2.
///
/// Spec: `kaiming_uniform(a=0, mode=fan_in, nonlinearity=leaky_relu, layout=out_in, groups=1)`, where `a` is the slope.
///
/// ```
/// use fanin::{DType, Fan, Distribution, Nonlinearity, init};
/// let plan = init::kaiming_uniform()
///     .fan(Fan::Out)
///     .nonlinearity(Nonlinearity::Relu)
///     .resolve(&[256, 128], DType::F32)?;
/// let bound = 3f64.sqrt() * (2f64.sqrt() / 256f64.sqrt());
/// assert_eq!(plan.distribution(), Distribution::Uniform { low: -bound, high: bound });
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "kaiming_uniform_")]
#[doc(alias = "he_uniform")]
pub const fn kaiming_uniform() -> Kaiming {
    Kaiming {
        fan: Fan::In,
        nonlinearity: Nonlinearity::LeakyRelu { slope: 0.0 },
        unused_slope: None,
        layout: AxisLayout::OutIn,
        groups: 1,
        uniform: true,
    }
}

/// Returns an initializer of N(0, std^2) with `std = gain / sqrt(fan)`. The distribution is not truncated.
///
/// The shape must have two axes or more. The default arguments are the same as for [`kaiming_uniform`]. If the tensor
/// has no elements, the plan has a warning and a fill writes nothing.
///
/// Source: He et al. 2015, Delving deep into rectifiers, equations 10 and 14.
///
/// Spec: `kaiming_normal(a=0, mode=fan_in, nonlinearity=leaky_relu, layout=out_in, groups=1)`, where `a` is the slope.
///
/// ```
/// use fanin::{DType, Nonlinearity, init};
/// let plan = init::kaiming_normal().nonlinearity(Nonlinearity::Relu).resolve(&[256, 128], DType::F32)?;
/// assert_eq!(plan.std(), 0.125);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "kaiming_normal_")]
#[doc(alias = "he_normal")]
pub const fn kaiming_normal() -> Kaiming {
    Kaiming { uniform: false, ..kaiming_uniform() }
}

impl Kaiming {
    /// Sets the fan in the variance `gain^2 / fan` (default: fan_in). torch calls this argument `mode`.
    #[must_use]
    pub const fn fan(self, fan: Fan) -> Self {
        Self { fan, ..self }
    }

    /// Sets the nonlinearity that follows the layer. The standard deviation of the weight is multiplied by the gain of
    /// the nonlinearity.
    #[must_use]
    pub const fn nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        Self { nonlinearity, unused_slope: None, ..self }
    }

    /// Sets the nonlinearity that torch calls `name`. Returns an error if torch has no such nonlinearity. Only
    /// `leaky_relu` uses the slope `a`.
    pub(crate) fn torch_nonlinearity(self, a: f64, name: &str) -> Result<Self, Error> {
        Ok(self.with_slope(a, Nonlinearity::from_torch_name(name, Some(a))?))
    }

    /// Sets the nonlinearity. Stores `a` in `unused_slope` if `a` is not 0 and has no effect.
    pub(crate) fn with_slope(self, a: f64, nonlinearity: Nonlinearity) -> Self {
        let used = matches!(nonlinearity, Nonlinearity::LeakyRelu { .. });
        Self { nonlinearity, unused_slope: (!used && a != 0.0).then_some(a), ..self }
    }

    /// Returns the gain of the nonlinearity.
    pub fn gain_value(self) -> f64 {
        self.nonlinearity.gain()
    }

    const fn name(self) -> &'static str {
        if self.uniform { "kaiming_uniform" } else { "kaiming_normal" }
    }
}

impl Initializer for Kaiming {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        if let Some(plan) = empty_plan(shape, dtype)? {
            return Ok(plan);
        }
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        if let Nonlinearity::LeakyRelu { slope } = self.nonlinearity {
            finite(self.name(), "a", slope, DType::F64)?;
            if !(slope * slope).is_finite() {
                return Err(Error::Argument {
                    scheme: self.name(),
                    argument: "a",
                    value: slope,
                    requirement: "its square must be a finite number".to_owned(),
                });
            }
        }
        // The order of operations is torch's. A different order changes the last bit of the result for some fans.
        let distribution = |gain: f64| {
            let std = gain / (self.fan.of(fans) as f64).sqrt();
            if self.uniform {
                let bound = 3f64.sqrt() * std;
                Distribution::Uniform { low: -bound, high: bound }
            } else {
                Distribution::Normal { mean: 0.0, std }
            }
        };
        let plan = Plan::new(shape, dtype, distribution(self.nonlinearity.gain()))?.with_fans(fans);
        let plan = plan.with_distribution_on_torch(distribution(self.nonlinearity.gain_on_torch()));
        Ok(match self.unused_slope {
            Some(a) => plan.with_warning(Warning::SlopeIgnored { a, nonlinearity: self.nonlinearity.name() }),
            None => plan,
        })
    }
}

impl std::fmt::Display for Kaiming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (slope, name) = match self.nonlinearity {
            Nonlinearity::LeakyRelu { slope } => (slope, "leaky_relu".to_owned()),
            other => (self.unused_slope.unwrap_or(0.0), other.to_string()),
        };
        write_spec(
            f,
            self.name(),
            &[
                ("a", unless(&slope, 0.0)),
                ("mode", unless(&self.fan, Fan::In)),
                ("nonlinearity", unless(&name, "leaky_relu".to_owned())),
                ("layout", unless(&self.layout, AxisLayout::OutIn)),
                ("groups", unless(&self.groups, 1)),
            ],
        )
    }
}

initializer!(Kaiming, layout, groups);
