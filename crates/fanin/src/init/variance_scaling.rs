//! The general variance scaling of JAX and Keras, and its famous names.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::plan::{Distribution, Plan};
use crate::shape::{AxisLayout, Fan, Fans, element_count};

/// The standard deviation of a standard normal cut at two sigma, as JAX and Keras write it.
const CUT_AT_TWO: f64 = 0.879_625_661_034_239_8;

/// What divides the scale: JAX's and Keras's `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FanMode {
    /// fan_in.
    #[default]
    In,
    /// fan_out.
    Out,
    /// (fan_in + fan_out) / 2.
    Average,
    /// sqrt(fan_in * fan_out).
    GeometricAverage,
}

impl FanMode {
    /// Every mode.
    pub const ALL: [FanMode; 4] = [FanMode::In, FanMode::Out, FanMode::Average, FanMode::GeometricAverage];

    /// `fan_in`, `fan_out`, `fan_avg` or `fan_geo_avg`, as specs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            FanMode::In => "fan_in",
            FanMode::Out => "fan_out",
            FanMode::Average => "fan_avg",
            FanMode::GeometricAverage => "fan_geo_avg",
        }
    }

    /// The number itself.
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

/// The distribution whose variance is scaled: JAX's and Keras's `distribution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ScalingDistribution {
    /// A normal cut at two of its own sigma, widened so that what is left has the variance asked for. What JAX and Keras
    /// mean by the "normal" of `lecun_normal`, `he_normal` and `glorot_normal`.
    #[default]
    TruncatedNormal,
    /// A normal that is not cut; Keras calls it `untruncated_normal`.
    Normal,
    /// Uniform about 0.
    Uniform,
}

impl ScalingDistribution {
    /// Every distribution.
    pub const ALL: [ScalingDistribution; 3] =
        [ScalingDistribution::TruncatedNormal, ScalingDistribution::Normal, ScalingDistribution::Uniform];

    /// `truncated_normal`, `normal` or `uniform`, as specs spell it.
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

/// Variance `scale / n`, n by the mode: made by [`variance_scaling`] or a famous name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarianceScaling {
    scale: f64,
    mode: FanMode,
    distribution: ScalingDistribution,
    layout: AxisLayout,
    groups: usize,
}

/// Mean 0 and variance `scale / n`, n being `fan_in` unless [`VarianceScaling::mode`] says another; a normal cut at two
/// sigma unless [`VarianceScaling::distribution`] says another. JAX's and Keras's general form:
///
/// | distribution | distribution |
/// |---|---|
/// | `truncated_normal` | N(0, s^2) on \[-2 s, 2 s\], s = sqrt(scale / n) / 0.87962566103423978: the std written is sqrt(scale / n) |
/// | `normal` | N(0, scale / n) |
/// | `uniform` | U[-a, a), a = sqrt(3 scale / n) |
///
/// `scale` is finite and greater than 0. The layout is torch's unless [`VarianceScaling::layout`] says another: JAX and
/// Keras have `kernel_in_out`.
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

/// U[-a, a), `a = sqrt(3 / fan_in)`: variance 1 / fan_in (LeCun et al. 1998, Efficient BackProp, section 4.6).
///
/// Spec: `lecun_uniform(layout=out_in, groups=1)`.
pub const fn lecun_uniform() -> VarianceScaling {
    variance_scaling(1.0).distribution(ScalingDistribution::Uniform)
}

/// Variance 1 / fan_in (LeCun et al. 1998; Klambauer et al. 2017 for selu): **a normal cut at two sigma**, as in JAX and
/// Keras. Not cut: `kaiming_normal().nonlinearity(Nonlinearity::Linear)`.
///
/// Spec: `lecun_normal(layout=out_in, groups=1)`.
pub const fn lecun_normal() -> VarianceScaling {
    variance_scaling(1.0)
}

/// U[-a, a), `a = sqrt(6 / fan_in)`: variance 2 / fan_in, JAX's and Keras's name for [`kaiming_uniform`](super::kaiming_uniform).
///
/// Spec: `he_uniform(layout=out_in, groups=1)`.
pub const fn he_uniform() -> VarianceScaling {
    variance_scaling(2.0).distribution(ScalingDistribution::Uniform)
}

/// Variance 2 / fan_in (He et al. 2015): **a normal cut at two sigma**, as in JAX and Keras. Not cut:
/// [`kaiming_normal`](super::kaiming_normal), torch's.
///
/// Spec: `he_normal(layout=out_in, groups=1)`.
pub const fn he_normal() -> VarianceScaling {
    variance_scaling(2.0)
}

/// U[-a, a), `a = sqrt(6 / (fan_in + fan_out))`: JAX's and Keras's name for [`xavier_uniform`](super::xavier_uniform).
///
/// Spec: `glorot_uniform(layout=out_in, groups=1)`.
pub const fn glorot_uniform() -> VarianceScaling {
    variance_scaling(1.0).mode_of(FanMode::Average).distribution(ScalingDistribution::Uniform)
}

/// Variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010): **a normal cut at two sigma**, as in JAX and Keras. Not cut:
/// [`xavier_normal`](super::xavier_normal), torch's. JAX has an `xavier_normal` too, and means this.
///
/// Spec: `glorot_normal(layout=out_in, groups=1)`.
pub const fn glorot_normal() -> VarianceScaling {
    variance_scaling(1.0).mode_of(FanMode::Average)
}

impl VarianceScaling {
    /// What divides the scale.
    #[must_use]
    pub fn mode(self, mode: impl Into<FanMode>) -> Self {
        self.mode_of(mode.into())
    }

    const fn mode_of(self, mode: FanMode) -> Self {
        Self { mode, ..self }
    }

    /// The distribution.
    #[must_use]
    pub const fn distribution(self, distribution: ScalingDistribution) -> Self {
        Self { distribution, ..self }
    }

    /// Which axes are in and out.
    #[must_use]
    pub const fn layout(self, layout: AxisLayout) -> Self {
        Self { layout, ..self }
    }

    /// Groups of a convolution, each with channels of its own ([`AxisLayout::grouped_fans`]).
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
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
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(Error::Argument {
                scheme: self.name(),
                argument: "scale",
                value: self.scale,
                requirement: "must be finite and greater than 0".to_owned(),
            });
        }
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        if element_count(shape)? == 0 {
            let plan = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
            return Ok(plan.with_fans(fans).with_warning(Warning::ZeroElements { shape: shape.to_vec() }));
        }
        let variance = self.scale / self.mode.of(fans);
        let distribution = match self.distribution {
            ScalingDistribution::Normal => Distribution::Normal { mean: 0.0, std: variance.sqrt() },
            ScalingDistribution::Uniform => {
                let bound = (3.0 * variance).sqrt();
                Distribution::Uniform { low: -bound, high: bound }
            }
            ScalingDistribution::TruncatedNormal => {
                let std = variance.sqrt() / CUT_AT_TWO;
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

initializer!(VarianceScaling);
