//! The default initialization of torch's `nn.Linear` and `nn.Conv*`.

use super::initializer::{Initializer, initializer, unless, write_spec};
use super::kaiming::kaiming_uniform;
use crate::dtype::DType;
use crate::error::Error;
use crate::nonlinearity::Nonlinearity;
use crate::plan::{Distribution, Plan};
use crate::shape::AxisLayout;

/// An initializer of the weights of `nn.Linear` and `nn.Conv*` with torch's default distribution. Created by
/// [`linear_default`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearDefault {
    layout: AxisLayout,
    groups: usize,
}

/// An initializer of the biases of `nn.Linear` and `nn.Conv*` with torch's default distribution. Created by
/// [`linear_default_bias`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearDefaultBias {
    fan_in: usize,
}

/// Returns an initializer of torch's default distribution for the weights of `nn.Linear` and `nn.Conv*`.
///
/// The distribution is U[-bound, bound) with `bound = 1 / sqrt(fan_in)`. In `reset_parameters`, torch writes the
/// distribution as `kaiming_uniform_(weight, a=sqrt(5))`. The shape must have two axes or more.
///
/// The standard deviation is `1 / sqrt(3 * fan_in)`. With relu, a standard deviation of `sqrt(2 / fan_in)` keeps the
/// variance constant from layer to layer. torch's default is only 0.41 times this value.
///
/// Spec: `linear_default(layout=out_in, groups=1)`.
#[doc(alias = "reset_parameters")]
pub const fn linear_default() -> LinearDefault {
    LinearDefault { layout: AxisLayout::OutIn, groups: 1 }
}

/// Returns an initializer of torch's default distribution for the biases of `nn.Linear` and `nn.Conv*`.
///
/// The distribution is U[-bound, bound) with `bound = 1 / sqrt(fan_in)`. `fan_in` is the fan_in of the layer's
/// **weight**. If `fan_in` is 0, the bias is 0.
///
/// Spec: `linear_default_bias(fan_in)`. In a recipe, write `linear_default_bias(weight_fan_in)`. The variable
/// `weight_fan_in` is the fan_in of the layer's weight.
///
/// ```
/// use fanin::{AxisLayout, Torch, init};
/// // torch.manual_seed(0); layer = torch.nn.Linear(64, 8)
/// let mut torch = Torch::new(0);
/// let (mut weight, mut bias) = (vec![0f32; 8 * 64], vec![0f32; 8]);
/// init::linear_default().fill(&mut weight, &[8, 64], &mut torch)?;
/// init::linear_default_bias(AxisLayout::OutIn.fans(&[8, 64])?.fan_in).fill(&mut bias, &[8], &mut torch)?;
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn linear_default_bias(fan_in: usize) -> LinearDefaultBias {
    LinearDefaultBias { fan_in }
}

impl Initializer for LinearDefault {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let slope = 5f64.sqrt();
        let kaiming = kaiming_uniform().nonlinearity(Nonlinearity::LeakyRelu { slope });
        kaiming.layout(self.layout).groups(self.groups).resolve(shape, dtype)
    }
}

impl Initializer for LinearDefaultBias {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let bound = if self.fan_in > 0 { 1.0 / (self.fan_in as f64).sqrt() } else { 0.0 };
        Plan::new(shape, dtype, Distribution::Uniform { low: -bound, high: bound })
    }
}

impl std::fmt::Display for LinearDefault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let arguments =
            [("layout", unless(&self.layout, AxisLayout::OutIn)), ("groups", unless(&self.groups, 1))];
        write_spec(f, "linear_default", &arguments)
    }
}

impl std::fmt::Display for LinearDefaultBias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "linear_default_bias", &[("fan_in", Some(&self.fan_in))])
    }
}

initializer!(LinearDefault, layout, groups);
initializer!(LinearDefaultBias);
