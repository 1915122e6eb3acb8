//! He et al. 2015.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::gain::Nonlinearity;
use crate::plan::{Distribution, Plan, finite};
use crate::shape::{AxisLayout, Fan, element_count};

/// Variance `gain^2 / fan`: made by [`kaiming_uniform`] or [`kaiming_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kaiming {
    pub(super) fan: Fan,
    pub(super) nonlinearity: Nonlinearity,
    /// A slope given for a nonlinearity that has none: kept to be printed and warned of.
    pub(super) unused_slope: Option<f64>,
    pub(super) layout: AxisLayout,
    pub(super) groups: usize,
    pub(super) uniform: bool,
}

/// U[-bound, bound) with `bound = gain * sqrt(3 / fan)` (He et al. 2015, section 2.2, for a uniform distribution).
///
/// Needs two axes or more. As in torch the default is the gain of a leaky_relu of slope 0, which is relu's; a tensor
/// without elements gives a warning and is left alone.
///
/// Spec: `kaiming_uniform(a=0, mode=fan_in, nonlinearity=leaky_relu)`, where `a` is the slope; `layout` and `groups` besides.
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

/// N(0, std^2) with `std = gain / sqrt(fan)` (He et al. 2015, equations 10 and 14). Not truncated.
///
/// Needs two axes or more; defaults and empty tensors as for [`kaiming_uniform`].
///
/// Spec: `kaiming_normal(a=0, mode=fan_in, nonlinearity=leaky_relu)`, where `a` is the slope; `layout` and `groups` besides.
#[doc(alias = "kaiming_normal_")]
#[doc(alias = "he_normal")]
pub const fn kaiming_normal() -> Kaiming {
    Kaiming { uniform: false, ..kaiming_uniform() }
}

impl Kaiming {
    /// Which fan scales the variance.
    #[must_use]
    pub const fn fan(self, fan: Fan) -> Self {
        Self { fan, ..self }
    }

    /// What follows the layer.
    #[must_use]
    pub const fn nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        Self { nonlinearity, unused_slope: None, ..self }
    }

    /// Which axes are in and out.
    #[must_use]
    pub const fn layout(self, layout: AxisLayout) -> Self {
        Self { layout, ..self }
    }

    /// Groups of a convolution, each with channels of its own ([`AxisLayout::grouped_fans`]). torch itself knows none, and takes a
    /// fan_out that is so many times too large.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// torch's two arguments: a slope that only a leaky_relu uses, and a nonlinearity's name.
    pub(crate) fn torch_nonlinearity(self, a: f64, name: &str) -> Result<Self, Error> {
        Ok(self.with_slope(a, Nonlinearity::from_name(name, Some(a))?))
    }

    /// The same with every name that specs know.
    pub(crate) fn spec_nonlinearity(self, a: f64, name: &str) -> Result<Self, Error> {
        Ok(self.with_slope(a, Nonlinearity::from_spec(name, Some(a))?))
    }

    fn with_slope(self, a: f64, nonlinearity: Nonlinearity) -> Self {
        let used = matches!(nonlinearity, Nonlinearity::LeakyRelu { .. });
        Self { nonlinearity, unused_slope: (!used && a != 0.0).then_some(a), ..self }
    }

    /// The gain of what follows the layer.
    pub fn gain_value(self) -> f64 {
        self.nonlinearity.gain()
    }

    const fn name(self) -> &'static str {
        if self.uniform { "kaiming_uniform" } else { "kaiming_normal" }
    }
}

impl Initializer for Kaiming {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        if element_count(shape)? == 0 {
            let plan = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
            return Ok(plan.with_warning(Warning::ZeroElements { shape: shape.to_vec() }));
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
        // torch's order of operations: another differs in the last bit for some fans.
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

initializer!(Kaiming);
