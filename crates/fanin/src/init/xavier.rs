//! Xavier (Glorot) initialization (Glorot and Bengio 2010).

use super::initializer::{Initializer, empty_plan, initializer, non_negative, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::gain::Gain;
use crate::plan::{Distribution, Plan, finite};
use crate::shape::AxisLayout;

/// An initializer whose values have the variance `gain^2 * 2 / (fan_in + fan_out)`. Created by [`xavier_uniform`] and
/// [`xavier_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Xavier {
    pub(super) gain: Gain,
    pub(super) layout: AxisLayout,
    pub(super) groups: usize,
    pub(super) uniform: bool,
}

/// Returns an initializer of U[-a, a) with `a = gain * sqrt(6 / (fan_in + fan_out))`.
///
/// The shape must have two axes or more. The gain is 1 by default ([`Xavier::gain`]).
///
/// Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, equation
/// 16.
///
/// Spec: `xavier_uniform(gain=1, layout=out_in, groups=1)`.
///
/// ```
/// use fanin::{DType, init};
/// let plan = init::xavier_uniform().resolve(&[200, 100], DType::F32)?;
/// assert!((plan.bounds().1 - (6.0f64 / 300.0).sqrt()).abs() < 1e-15);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "xavier_uniform_")]
#[doc(alias = "glorot_uniform")]
pub const fn xavier_uniform() -> Xavier {
    Xavier { gain: Gain::Value(1.0), layout: AxisLayout::OutIn, groups: 1, uniform: true }
}

/// Returns an initializer of N(0, std^2) with `std = gain * sqrt(2 / (fan_in + fan_out))`. The distribution is not
/// truncated.
///
/// The shape must have two axes or more. The gain is 1 by default ([`Xavier::gain`]).
///
/// Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, equation
/// 12.
///
/// Spec: `xavier_normal(gain=1, layout=out_in, groups=1)`.
///
/// ```
/// use fanin::{DType, init};
/// let plan = init::xavier_normal().gain(2.0).resolve(&[150, 50], DType::F32)?;
/// assert!((plan.std() - 0.2).abs() < 1e-15);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "xavier_normal_")]
#[doc(alias = "glorot_normal")]
pub const fn xavier_normal() -> Xavier {
    Xavier { uniform: false, ..xavier_uniform() }
}

impl Xavier {
    /// Sets the gain: a finite number that is not negative, or the gain of a nonlinearity. The standard deviation is
    /// multiplied by the gain.
    #[must_use]
    pub fn gain(self, gain: impl Into<Gain>) -> Self {
        Self { gain: gain.into(), ..self }
    }

    /// Returns the gain as a number.
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
        non_negative(self.name(), "gain", gain)?;
        if let Some(plan) = empty_plan(shape, dtype)? {
            return Ok(plan.with_fans(fans));
        }
        // The operations are in torch's order. Another order changes the last bit of the result for some fans.
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

initializer!(Xavier, layout, groups);
