//! Variance scaling as in JAX and Keras, and its special cases such as `he_normal`.

use super::initializer::{Initializer, empty_plan, initializer, positive, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::shape::{AxisLayout, Fan, Fans};

/// The standard deviation of the standard normal distribution truncated at -2 and 2. JAX and Keras use the same
/// constant.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// The divisor n in the variance `scale / n`: a fan, or a mean of both fans. JAX and Keras call this argument `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FanMode {
    /// The fan_in of the weight.
    #[default]
    In,
    /// The fan_out of the weight.
    Out,
    /// The arithmetic mean of the fans: `(fan_in + fan_out) / 2`.
    Average,
    /// The geometric mean of the fans: `sqrt(fan_in * fan_out)`.
    GeometricAverage,
}

impl FanMode {
    /// All modes.
    pub const ALL: [FanMode; 4] = [FanMode::In, FanMode::Out, FanMode::Average, FanMode::GeometricAverage];

    /// Returns the name in specs: `fan_in`, `fan_out`, `fan_avg` or `fan_geo_avg`.
    pub const fn name(self) -> &'static str {
        match self {
            FanMode::In => "fan_in",
            FanMode::Out => "fan_out",
            FanMode::Average => "fan_avg",
            FanMode::GeometricAverage => "fan_geo_avg",
        }
    }

    /// Returns the divisor n in the variance `scale / n` for a weight with these fans.
    pub fn of(self, fans: Fans) -> f64 {
        let (fan_in, fan_out) = (fans.fan_in as f64, fans.fan_out as f64);
        match self {
            FanMode::In => fan_in,
            FanMode::Out => fan_out,
            FanMode::Average => (fan_in + fan_out) / 2.0,
            FanMode::GeometricAverage => (fan_in * fan_out).sqrt(),
        }
    }
}

impl From<Fan> for FanMode {
    fn from(fan: Fan) -> Self {
        match fan {
            Fan::In => FanMode::In,
            Fan::Out => FanMode::Out,
        }
    }
}

impl std::fmt::Display for FanMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The distribution of the values. JAX and Keras call this argument `distribution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ScalingDistribution {
    /// A normal distribution N(0, sigma^2) truncated at +-2 sigma. The variance after the truncation is `scale / n`
    /// ([`variance_scaling`]). `lecun_normal`, `he_normal` and `glorot_normal` of JAX and Keras have this distribution.
    #[default]
    TruncatedNormal,
    /// The normal distribution, which Keras calls `untruncated_normal`.
    Normal,
    /// The uniform distribution, symmetric about 0.
    Uniform,
}

impl ScalingDistribution {
    /// All distributions.
    pub const ALL: [ScalingDistribution; 3] =
        [ScalingDistribution::TruncatedNormal, ScalingDistribution::Normal, ScalingDistribution::Uniform];

    /// Returns the name in specs: `truncated_normal`, `normal` or `uniform`.
    pub const fn name(self) -> &'static str {
        match self {
            ScalingDistribution::TruncatedNormal => "truncated_normal",
            ScalingDistribution::Normal => "normal",
            ScalingDistribution::Uniform => "uniform",
        }
    }
}

impl std::fmt::Display for ScalingDistribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An initializer whose values have the variance `scale / n`. The divisor n is a fan or a mean of both fans
/// ([`FanMode`]). Created by [`variance_scaling`] and by functions of special cases, such as [`he_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarianceScaling {
    scale: f64,
    mode: FanMode,
    distribution: ScalingDistribution,
    layout: AxisLayout,
    groups: usize,
}

/// Returns an initializer whose values have the mean 0 and the variance `scale / n`. JAX calls the scheme
/// `jax.nn.initializers.variance_scaling`, and Keras calls it `VarianceScaling`.
///
/// The divisor n is fan_in by default ([`VarianceScaling::mode`]). The distribution is a truncated normal by default
/// ([`VarianceScaling::distribution`]):
///
/// | `distribution` | formula |
/// |---|---|
/// | `truncated_normal` | N(0, s^2) conditioned on \[-2 * s, 2 * s\], s = sqrt(scale / n) / 0.87962566103423978, so that the std is sqrt(scale / n) |
/// | `normal` | N(0, scale / n) |
/// | `uniform` | U[-a, a), a = sqrt(3 * scale / n) |
///
/// `scale` must be finite and greater than 0. The shape must have two axes or more. The default axis layout is torch's
/// `out_in` ([`VarianceScaling::layout`]). The weights of JAX and Keras have the layout `kernel_in_out`.
///
/// Spec: `variance_scaling(scale, mode=fan_in, distribution=truncated_normal, layout=out_in, groups=1)`.
///
/// ```
/// use fanin::{DType, AxisLayout, init, init::FanMode};
/// let plan = init::variance_scaling(2.0)
///     .mode(FanMode::Average)
///     .layout(AxisLayout::KernelInOut)
///     .resolve(&[3, 3, 64, 128], DType::F32)?;
/// assert!((plan.std() - (2.0 / 864f64).sqrt()).abs() < 1e-12);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn variance_scaling(scale: f64) -> VarianceScaling {
    VarianceScaling {
        scale,
        mode: FanMode::In,
        distribution: ScalingDistribution::TruncatedNormal,
        layout: AxisLayout::OutIn,
        groups: 1,
    }
}

/// Returns an initializer of U[-a, a) with `a = sqrt(3 / fan_in)`. The variance is 1 / fan_in. Source: LeCun et al.
/// 1998, Efficient BackProp, section 4.6.
///
/// Spec: `lecun_uniform(layout=out_in, groups=1)`.
pub const fn lecun_uniform() -> VarianceScaling {
    variance_scaling(1.0).distribution(ScalingDistribution::Uniform)
}

/// Returns an initializer of a normal distribution **truncated at two standard deviations**, as in JAX and Keras. The
/// variance after the truncation is 1 / fan_in. Sources: LeCun et al. 1998, Efficient BackProp, section 4.6; for selu,
/// Klambauer et al. 2017.
///
/// `kaiming_normal().nonlinearity(Nonlinearity::Linear)` has the same variance and is not truncated.
///
/// Spec: `lecun_normal(layout=out_in, groups=1)`.
pub const fn lecun_normal() -> VarianceScaling {
    variance_scaling(1.0)
}

/// Returns an initializer of U[-a, a) with `a = sqrt(6 / fan_in)`. The variance is 2 / fan_in. Source: He et al. 2015,
/// section 2.2.
///
/// JAX and Keras use the name `he_uniform`. torch calls the same distribution
/// [`kaiming_uniform`](super::kaiming_uniform).
///
/// Spec: `he_uniform(layout=out_in, groups=1)`.
pub const fn he_uniform() -> VarianceScaling {
    variance_scaling(2.0).distribution(ScalingDistribution::Uniform)
}

/// Returns an initializer of a normal distribution **truncated at two standard deviations**, as in JAX and Keras. The
/// variance after the truncation is 2 / fan_in. Source: He et al. 2015, section 2.2.
///
/// torch's [`kaiming_normal`](super::kaiming_normal) has the same variance and is not truncated.
///
/// Spec: `he_normal(layout=out_in, groups=1)`.
pub const fn he_normal() -> VarianceScaling {
    variance_scaling(2.0)
}

/// Returns an initializer of U[-a, a) with `a = sqrt(6 / (fan_in + fan_out))`. Source: equation 16 of Glorot and
/// Bengio 2010.
///
/// JAX and Keras use the name `glorot_uniform`. torch calls the same distribution
/// [`xavier_uniform`](super::xavier_uniform).
///
/// Spec: `glorot_uniform(layout=out_in, groups=1)`.
pub const fn glorot_uniform() -> VarianceScaling {
    variance_scaling(1.0).mode_of(FanMode::Average).distribution(ScalingDistribution::Uniform)
}

/// Returns an initializer of a normal distribution **truncated at two standard deviations**, as in JAX and Keras. The
/// variance after the truncation is 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010, equation 12.
///
/// torch's [`xavier_normal`](super::xavier_normal) has the same variance and is not truncated. JAX's `xavier_normal` is
/// truncated, because it is a synonym of JAX's `glorot_normal`.
///
/// Spec: `glorot_normal(layout=out_in, groups=1)`.
pub const fn glorot_normal() -> VarianceScaling {
    variance_scaling(1.0).mode_of(FanMode::Average)
}

impl VarianceScaling {
    /// Sets the divisor n in the variance `scale / n`: a fan, or a mean of both fans (default: fan_in).
    #[must_use]
    pub fn mode(self, mode: impl Into<FanMode>) -> Self {
        self.mode_of(mode.into())
    }

    /// Sets the mode. Unlike [`VarianceScaling::mode`], this function can be called in a `const fn`.
    const fn mode_of(self, mode: FanMode) -> Self {
        Self { mode, ..self }
    }

    /// Sets the distribution (default: truncated normal).
    #[must_use]
    pub const fn distribution(self, distribution: ScalingDistribution) -> Self {
        Self { distribution, ..self }
    }

    fn name(&self) -> &'static str {
        match (self.scale, self.mode, self.distribution) {
            (1.0, FanMode::In, ScalingDistribution::Uniform) => "lecun_uniform",
            (1.0, FanMode::In, ScalingDistribution::TruncatedNormal) => "lecun_normal",
            (2.0, FanMode::In, ScalingDistribution::Uniform) => "he_uniform",
            (2.0, FanMode::In, ScalingDistribution::TruncatedNormal) => "he_normal",
            (1.0, FanMode::Average, ScalingDistribution::Uniform) => "glorot_uniform",
            (1.0, FanMode::Average, ScalingDistribution::TruncatedNormal) => "glorot_normal",
            _ => "variance_scaling",
        }
    }
}

impl Initializer for VarianceScaling {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        positive(self.name(), "scale", self.scale)?;
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        if let Some(plan) = empty_plan(shape, dtype)? {
            return Ok(plan.with_fans(fans));
        }
        let variance = self.scale / self.mode.of(fans);
        let distribution = match self.distribution {
            ScalingDistribution::Normal => Distribution::Normal { mean: 0.0, std: variance.sqrt() },
            ScalingDistribution::Uniform => {
                let bound = (3.0 * variance).sqrt();
                Distribution::Uniform { low: -bound, high: bound }
            }
            ScalingDistribution::TruncatedNormal => {
                let std = variance.sqrt() / TRUNCATED_STD;
                Distribution::TruncatedNormal {
                    mean: 0.0,
                    std,
                    low: -2.0 * std,
                    high: 2.0 * std,
                    method: None,
                }
            }
        };
        Ok(Plan::new(shape, dtype, distribution)?.with_fans(fans))
    }
}

impl std::fmt::Display for VarianceScaling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name();
        let layout =
            [("layout", unless(&self.layout, AxisLayout::OutIn)), ("groups", unless(&self.groups, 1))];
        if name != "variance_scaling" {
            return write_spec(f, name, &layout);
        }
        let own: [(&str, Option<&dyn std::fmt::Display>); 3] = [
            ("scale", Some(&self.scale)),
            ("mode", unless(&self.mode, FanMode::In)),
            ("distribution", unless(&self.distribution, ScalingDistribution::TruncatedNormal)),
        ];
        write_spec(f, name, &own.into_iter().chain(layout).collect::<Vec<_>>())
    }
}

initializer!(VarianceScaling, layout, groups);
