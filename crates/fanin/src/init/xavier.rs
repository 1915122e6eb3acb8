//! Glorot and Bengio 2010.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::{Error, Warning};
use crate::gain::Gain;
use crate::plan::{Distribution, Plan, finite};
use crate::shape::{AxisLayout, element_count};

/// Variance `gain^2 * 2 / (fan_in + fan_out)`: made by [`xavier_uniform`] or [`xavier_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Xavier {
    pub(super) gain: Gain,
    pub(super) layout: AxisLayout,
    pub(super) groups: usize,
    pub(super) uniform: bool,
}

/// U[-a, a) with `a = gain * sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010, equation 16).
///
/// Needs two axes or more. Spec: `xavier_uniform(gain=1, layout=out_in, groups=1)`.
#[doc(alias = "xavier_uniform_")]
#[doc(alias = "glorot_uniform")]
pub const fn xavier_uniform() -> Xavier {
    Xavier { gain: Gain::Value(1.0), layout: AxisLayout::OutIn, groups: 1, uniform: true }
}

/// N(0, std^2) with `std = gain * sqrt(2 / (fan_in + fan_out))` (Glorot and Bengio 2010, equation 12). Not truncated.
///
/// Needs two axes or more. Spec: `xavier_normal(gain=1, layout=out_in, groups=1)`.
#[doc(alias = "xavier_normal_")]
#[doc(alias = "glorot_normal")]
pub const fn xavier_normal() -> Xavier {
    Xavier { uniform: false, ..xavier_uniform() }
}

impl Xavier {
    /// The factor on the standard deviation (finite, >= 0): a number or a nonlinearity.
    #[must_use]
    pub fn gain(self, gain: impl Into<Gain>) -> Self {
        Self { gain: gain.into(), ..self }
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

    /// The factor, as a number.
    pub fn gain_value(self) -> f64 {
        self.gain.value()
    }

    const fn name(self) -> &'static str {
        if self.uniform { "xavier_uniform" } else { "xavier_normal" }
    }
}

impl Initializer for Xavier {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = self.layout.grouped_fans(shape, self.groups)?;
        let gain = self.gain.value();
        finite(self.name(), "gain", gain, dtype)?;
        if gain < 0.0 {
            let requirement = "must be greater than or equal to 0".to_owned();
            return Err(Error::Argument { scheme: self.name(), argument: "gain", value: gain, requirement });
        }
        if element_count(shape)? == 0 {
            let plan = Plan::new(shape, dtype, Distribution::Constant { value: 0.0 })?;
            return Ok(plan.with_fans(fans).with_warning(Warning::ZeroElements { shape: shape.to_vec() }));
        }
        // torch's order of operations: another differs in the last bit for some fans.
        let std = gain * (2.0 / (fans.fan_in as f64 + fans.fan_out as f64)).sqrt();
        let distribution = if self.uniform {
            let bound = 3f64.sqrt() * std;
            Distribution::Uniform { low: -bound, high: bound }
        } else {
            Distribution::Normal { mean: 0.0, std }
        };
        Ok(Plan::new(shape, dtype, distribution)?.with_fans(fans))
    }
}

impl std::fmt::Display for Xavier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments = [
            ("gain", unless(&self.gain, Gain::Value(1.0))),
            ("layout", unless(&self.layout, AxisLayout::OutIn)),
            ("groups", unless(&self.groups, 1)),
        ];
        write_spec(f, self.name(), &arguments)
    }
}

initializer!(Xavier);
