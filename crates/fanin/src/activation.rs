//! Gains that are computed: of any function, from how it changes the second moment of a standard normal.

use crate::math::normal_mean;

/// `E[f(z)^2]^(-1/2)` for z ~ N(0, 1): with a weight of variance `gain^2 / fan_in` a layer's outputs after `f` keep a mean
/// square of 1 (He et al. 2015, section 2.2, for any function).
///
/// By quadrature, to about 1e-12 of the gain for a function that is smooth between kinks or steps. Infinite where f
/// vanishes, 0 or NaN where f is not square-integrable.
///
/// ```
/// assert!((fanin::forward_gain(|z| z.max(0.0)) - 2f64.sqrt()).abs() < 1e-12);
/// assert!((fanin::forward_gain(f64::sin) - 1.520_866_6).abs() < 1e-6);
/// ```
pub fn forward_gain(f: impl Fn(f64) -> f64) -> f64 {
    1.0 / normal_mean(|z| {
        let value = f(z);
        value * value
    })
    .sqrt()
}

/// A function whose gain is computed by [`forward_gain`].
///
/// torch's own table ([`Nonlinearity`](crate::Nonlinearity)) mixes conventions, and has other numbers for sigmoid, tanh and
/// selu. Here there is one for all; a spec that means it says `gain=forward(tanh)`, or `gain=gelu` where torch has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the function of its name, as torch.nn.functional has it")]
pub enum Activation {
    Celu,
    Elu,
    Gelu,
    GeluTanh,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Logsigmoid,
    Mish,
    QuickGelu,
    Relu,
    Relu6,
    ReluSquared,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
}

impl Activation {
    /// Every one.
    pub const ALL: [Activation; 20] = [
        Activation::Celu,
        Activation::Elu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Hardsigmoid,
        Activation::Hardswish,
        Activation::Hardtanh,
        Activation::Logsigmoid,
        Activation::Mish,
        Activation::QuickGelu,
        Activation::Relu,
        Activation::Relu6,
        Activation::ReluSquared,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Tanh,
        Activation::Tanhshrink,
    ];

    /// The name that specs use.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Celu => "celu",
            Activation::Elu => "elu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Hardsigmoid => "hardsigmoid",
            Activation::Hardswish => "hardswish",
            Activation::Hardtanh => "hardtanh",
            Activation::Logsigmoid => "logsigmoid",
            Activation::Mish => "mish",
            Activation::QuickGelu => "quick_gelu",
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::ReluSquared => "relu_squared",
            Activation::Selu => "selu",
            Activation::Sigmoid => "sigmoid",
            Activation::Silu => "silu",
            Activation::Softplus => "softplus",
            Activation::Softsign => "softsign",
            Activation::Tanh => "tanh",
            Activation::Tanhshrink => "tanhshrink",
        }
    }

    /// The one of this name, or of another that transformers and JAX use: `swish`, `gelu_new`, `gelu_pytorch_tanh`, `relu2`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "swish" => "silu",
            "gelu_new" | "gelu_pytorch_tanh" => "gelu_tanh",
            "relu2" => "relu_squared",
            other => other,
        };
        Activation::ALL.into_iter().find(|activation| activation.name() == name)
    }

    /// Its value at `x`: torch.nn.functional's definition and defaults.
    pub fn apply(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        let softplus = |x: f64| x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
        let hardsigmoid = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
        match self {
            Activation::Celu | Activation::Elu => x.max(0.0) + libm::expm1(x.min(0.0)),
            Activation::Gelu => x * libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0,
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                x * (1.0 + libm::tanh(inner)) / 2.0
            }
            Activation::Hardsigmoid => hardsigmoid(x),
            Activation::Hardswish => x * hardsigmoid(x),
            Activation::Hardtanh => x.clamp(-1.0, 1.0),
            Activation::Logsigmoid => -softplus(-x),
            Activation::Mish => x * libm::tanh(softplus(x)),
            Activation::QuickGelu => x * sigmoid(1.702 * x),
            Activation::Relu => x.max(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::ReluSquared => x.max(0.0) * x.max(0.0),
            Activation::Selu => {
                // Klambauer et al. 2017, equation 14: the fixed point at mean 0, variance 1.
                const SCALE: f64 = 1.050_700_987_355_480_5;
                const ALPHA: f64 = 1.673_263_242_354_377_2;
                SCALE * (x.max(0.0) + ALPHA * libm::expm1(x.min(0.0)))
            }
            Activation::Sigmoid => sigmoid(x),
            Activation::Silu => x * sigmoid(x),
            Activation::Softplus => softplus(x),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Tanh => libm::tanh(x),
            Activation::Tanhshrink => x - libm::tanh(x),
        }
    }

    /// [`forward_gain`] of it.
    pub fn gain(self) -> f64 {
        forward_gain(|x| self.apply(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_those_of_an_independent_integration() {
        // mpmath.quad, 30 digits, split at the kinks.
        for (activation, gain) in [
            (Activation::Relu, std::f64::consts::SQRT_2),
            (Activation::ReluSquared, (2f64 / 3.0).sqrt()),
            (Activation::Tanh, 1.592_537_419_722_831),
            (Activation::Sigmoid, 1.846_228_545_338_605),
            (Activation::Gelu, 1.533_530_441_195_535),
            (Activation::GeluTanh, 1.533_580_521_666_147),
            (Activation::Silu, 1.676_532_470_331_091),
            (Activation::Mish, 1.486_847_581_273_208),
            (Activation::Elu, 1.245_198_300_700_707),
            (Activation::Celu, 1.245_198_300_700_707),
            (Activation::Selu, 1.0),
            (Activation::Softplus, 1.041_866_835_535_302),
            (Activation::Logsigmoid, 1.041_866_835_535_302),
            (Activation::Hardswish, 1.736_657_212_766_542),
            (Activation::QuickGelu, 1.539_458_762_298_831),
            (Activation::Softsign, 2.337_533_363_108_54),
            (Activation::Relu6, 1.414_213_565_095_074),
            (Activation::Hardtanh, 1.392_036_140_448_31),
            (Activation::Tanhshrink, 2.338_367_530_102_121),
            (Activation::Hardsigmoid, 1.897_840_424_729_559),
        ] {
            let found = activation.gain();
            assert!((found - gain).abs() < 1e-11, "{activation:?}: {found} {gain}");
        }
    }
}
