//! Nonlinearities: their names, functions, derivatives and gains.

mod functions;

use crate::error::{Error, nearest};
use crate::math::normal_mean;

/// Returns the forward gain of a function `f`: `E[f(z)^2]^(-1/2)` for z ~ N(0, 1).
///
/// Suppose that the inputs of `f` are drawn from N(0, 1). If the weights of the next layer have the variance
/// `gain^2 / fan_in`, then the outputs of that layer have the variance 1. He et al. 2015, section 2.2, derive this
/// result for relu.
///
/// The expectation is computed by quadrature. The relative error is about 1e-12 if `f` is smooth except at some kinks
/// or steps. The result is infinite if `f` is 0 everywhere. The result is 0 or NaN if `f` is not square-integrable.
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

/// A nonlinearity that follows a layer, such as relu.
///
/// The standard deviation of the layer's weights is multiplied by [`Nonlinearity::gain`]. There are two definitions of
/// the gain:
///
/// * **torch's table** (`torch.nn.init.calculate_gain`) contains the variants `Linear` to `Selu`. Its values do not
///   follow one formula. relu and leaky_relu have the gain of He et al. 2015. sigmoid has the gain 1, tanh 5/3, and
///   selu 3/4.
/// * **The forward gain** ([`forward_gain`]) is `E[f(z)^2]^(-1/2)` for z ~ N(0, 1). This formula applies to every
///   function. [`Nonlinearity::gain`] returns the forward gain for [`Nonlinearity::Forward`] and for every variant that
///   is not in torch's table.
///
/// ```
/// use fanin::Nonlinearity;
/// assert_eq!(Nonlinearity::Tanh.gain(), 5.0 / 3.0);
/// assert!((Nonlinearity::Forward(&Nonlinearity::Tanh).gain() - 1.592_537_419_722_831).abs() < 1e-11);
/// assert!((Nonlinearity::Gelu.gain() - 1.533_530_441_195_535).abs() < 1e-11);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Nonlinearity {
    /// The identity: gain 1.
    Linear,
    /// `conv1d`, a synonym of `linear` in torch's table: gain 1.
    Conv1d,
    /// `conv2d`, a synonym of `linear`: gain 1.
    Conv2d,
    /// `conv3d`, a synonym of `linear`: gain 1.
    Conv3d,
    /// `conv_transpose1d`, a synonym of `linear`: gain 1.
    ConvTranspose1d,
    /// `conv_transpose2d`, a synonym of `linear`: gain 1.
    ConvTranspose2d,
    /// `conv_transpose3d`, a synonym of `linear`: gain 1.
    ConvTranspose3d,
    /// Logistic sigmoid: gain 1.
    Sigmoid,
    /// Hyperbolic tangent: gain 5/3.
    Tanh,
    /// `max(0, x)`: gain sqrt(2).
    Relu,
    /// `max(0, x) + slope * min(0, x)`: gain `sqrt(2 / (1 + slope^2))` (He et al. 2015, equation 15).
    LeakyRelu {
        /// The slope for negative inputs. A scheme returns an error if the slope is infinite or NaN.
        slope: f64,
    },
    /// SELU: gain 3/4. According to torch's documentation, this gain makes gradients in rectangular layers more stable
    /// than gain 1. A self-normalizing network needs gain 1: weights of variance 1 / fan_in (Klambauer et al. 2017).
    /// For such a network, use [`Nonlinearity::Linear`].
    Selu,
    /// `torch.nn.functional.celu` with alpha 1.
    Celu,
    /// `torch.nn.functional.elu` with alpha 1.
    Elu,
    /// `torch.nn.functional.gelu` without an approximation.
    Gelu,
    /// `torch.nn.functional.gelu(approximate="tanh")`.
    GeluTanh,
    /// `torch.nn.functional.hardsigmoid`.
    Hardsigmoid,
    /// `torch.nn.functional.hardswish`.
    Hardswish,
    /// `torch.nn.functional.hardtanh` with the range -1 to 1.
    Hardtanh,
    /// `torch.nn.functional.logsigmoid`.
    Logsigmoid,
    /// `torch.nn.functional.mish`.
    Mish,
    /// `x * sigmoid(1.702 * x)`, as in CLIP.
    QuickGelu,
    /// `torch.nn.functional.relu6`.
    Relu6,
    /// `max(0, x)^2`, as in Primer.
    ReluSquared,
    /// `torch.nn.functional.silu`, also called swish.
    Silu,
    /// `torch.nn.functional.softplus` with beta 1.
    Softplus,
    /// `torch.nn.functional.softsign`.
    Softsign,
    /// `torch.nn.functional.tanhshrink`.
    Tanhshrink,
    /// `sin(omega * x)`, as in SIREN networks (Sitzmann et al. 2020).
    Sine {
        /// The angular frequency omega.
        omega: f64,
    },
    /// The wrapped nonlinearity f, with the forward gain `E[f(z)^2]^(-1/2)` for z ~ N(0, 1) (see [`forward_gain`]). The
    /// forward gain replaces the gain in torch's table. In a spec, the name of the wrapped nonlinearity is enclosed in
    /// `forward(...)`, as in `forward(tanh)`.
    Forward(&'static Nonlinearity),
}

/// The nonlinearities of torch's table (`calculate_gain`) that have no parameter, in torch's order.
const TORCH: [Nonlinearity; 11] = [
    Nonlinearity::Linear,
    Nonlinearity::Conv1d,
    Nonlinearity::Conv2d,
    Nonlinearity::Conv3d,
    Nonlinearity::ConvTranspose1d,
    Nonlinearity::ConvTranspose2d,
    Nonlinearity::ConvTranspose3d,
    Nonlinearity::Sigmoid,
    Nonlinearity::Tanh,
    Nonlinearity::Relu,
    Nonlinearity::Selu,
];

/// The nonlinearities that are not in torch's table (`calculate_gain`) and have no parameter.
const BEYOND_TORCH: [Nonlinearity; 16] = [
    Nonlinearity::Celu,
    Nonlinearity::Elu,
    Nonlinearity::Gelu,
    Nonlinearity::GeluTanh,
    Nonlinearity::Hardsigmoid,
    Nonlinearity::Hardswish,
    Nonlinearity::Hardtanh,
    Nonlinearity::Logsigmoid,
    Nonlinearity::Mish,
    Nonlinearity::QuickGelu,
    Nonlinearity::Relu6,
    Nonlinearity::ReluSquared,
    Nonlinearity::Silu,
    Nonlinearity::Softplus,
    Nonlinearity::Softsign,
    Nonlinearity::Tanhshrink,
];

/// The nonlinearities of torch's table (`calculate_gain`) for which a spec can choose the forward gain, as in
/// `gain=forward(tanh)`.
static FORWARD: [Nonlinearity; 4] =
    [Nonlinearity::Relu, Nonlinearity::Selu, Nonlinearity::Sigmoid, Nonlinearity::Tanh];

impl Nonlinearity {
    /// torch's default slope of a leaky_relu.
    pub const DEFAULT_SLOPE: f64 = 0.01;

    /// Returns the gain, a factor of the standard deviation of the weights. If the variant is in torch's table
    /// (`torch.nn.init.calculate_gain`), the gain is torch's value. Otherwise, it is the
    /// [forward gain](Nonlinearity::forward_gain).
    ///
    /// ```
    /// # use fanin::Nonlinearity;
    /// assert_eq!(Nonlinearity::Relu.gain(), 2f64.sqrt());
    /// assert_eq!(Nonlinearity::LeakyRelu { slope: 1.0 }.gain(), 1.0);
    /// ```
    #[doc(alias = "calculate_gain")]
    pub fn gain(self) -> f64 {
        match self {
            Nonlinearity::Linear
            | Nonlinearity::Conv1d
            | Nonlinearity::Conv2d
            | Nonlinearity::Conv3d
            | Nonlinearity::ConvTranspose1d
            | Nonlinearity::ConvTranspose2d
            | Nonlinearity::ConvTranspose3d
            | Nonlinearity::Sigmoid => 1.0,
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Relu => 2f64.sqrt(),
            Nonlinearity::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
            Nonlinearity::Selu => 3.0 / 4.0,
            other => other.forward_gain(),
        }
    }

    /// Returns the forward gain `E[f(z)^2]^(-1/2)` for z ~ N(0, 1), where f is this nonlinearity (see
    /// [`forward_gain`]).
    pub fn forward_gain(self) -> f64 {
        match self {
            // The closed form is used because quadrature is inaccurate for a sine with a large omega.
            Nonlinearity::Sine { omega } => 1.0 / (-0.5 * libm::expm1(-2.0 * omega * omega)).sqrt(),
            other => forward_gain(|x| other.apply(x)),
        }
    }

    /// Returns the gain as torch computes it, for the torch stream. Python squares the slope of `LeakyRelu` with the C
    /// function `pow`. The result can differ from `slope * slope` in the last bit.
    #[allow(
        clippy::disallowed_methods,
        reason = "only the torch stream uses it, and torch calls the C library"
    )]
    pub(crate) fn gain_on_torch(self) -> f64 {
        match self {
            // `black_box` keeps the compiler from replacing `powf` by a multiplication.
            Nonlinearity::LeakyRelu { slope } => (2.0 / (1.0 + slope.powf(std::hint::black_box(2.0)))).sqrt(),
            other => other.gain(),
        }
    }

    /// Returns the name of the nonlinearity in specs, such as `relu`. If torch has the function, the name is the same
    /// as in torch. The only exception is `gelu_tanh`. Unlike the output of `Display`, the name omits parameters and
    /// `forward(...)`. For example, the name of `forward(tanh)` is `tanh`.
    pub const fn name(self) -> &'static str {
        match self {
            Nonlinearity::Linear => "linear",
            Nonlinearity::Conv1d => "conv1d",
            Nonlinearity::Conv2d => "conv2d",
            Nonlinearity::Conv3d => "conv3d",
            Nonlinearity::ConvTranspose1d => "conv_transpose1d",
            Nonlinearity::ConvTranspose2d => "conv_transpose2d",
            Nonlinearity::ConvTranspose3d => "conv_transpose3d",
            Nonlinearity::Sigmoid => "sigmoid",
            Nonlinearity::Tanh => "tanh",
            Nonlinearity::Relu => "relu",
            Nonlinearity::LeakyRelu { .. } => "leaky_relu",
            Nonlinearity::Selu => "selu",
            Nonlinearity::Celu => "celu",
            Nonlinearity::Elu => "elu",
            Nonlinearity::Gelu => "gelu",
            Nonlinearity::GeluTanh => "gelu_tanh",
            Nonlinearity::Hardsigmoid => "hardsigmoid",
            Nonlinearity::Hardswish => "hardswish",
            Nonlinearity::Hardtanh => "hardtanh",
            Nonlinearity::Logsigmoid => "logsigmoid",
            Nonlinearity::Mish => "mish",
            Nonlinearity::QuickGelu => "quick_gelu",
            Nonlinearity::Relu6 => "relu6",
            Nonlinearity::ReluSquared => "relu_squared",
            Nonlinearity::Silu => "silu",
            Nonlinearity::Softplus => "softplus",
            Nonlinearity::Softsign => "softsign",
            Nonlinearity::Tanhshrink => "tanhshrink",
            Nonlinearity::Sine { .. } => "sine",
            Nonlinearity::Forward(function) => function.name(),
        }
    }

    /// Returns the nonlinearity with this name in torch's table (`torch.nn.init.calculate_gain`). `slope` is the slope
    /// of `leaky_relu` (0.01 if `None`). As in torch, `slope` has no effect on other nonlinearities.
    ///
    /// # Errors
    /// [`Error::Nonlinearity`] if the name is not in torch's table. [`str::parse`] reads the names of all
    /// nonlinearities.
    pub fn from_torch_name(name: &str, slope: Option<f64>) -> Result<Self, Error> {
        if name == "leaky_relu" {
            return Ok(Nonlinearity::LeakyRelu { slope: slope.unwrap_or(Self::DEFAULT_SLOPE) });
        }
        TORCH.into_iter().find(|known| known.name() == name).ok_or_else(|| Error::Nonlinearity {
            name: name.to_owned(),
            suggestion: nearest(name, Self::torch_names()),
        })
    }

    /// Returns every name in torch's table (`torch.nn.init.calculate_gain`).
    pub fn torch_names() -> impl Iterator<Item = &'static str> {
        TORCH.into_iter().map(Self::name).chain(["leaky_relu"])
    }

    /// Returns every name that [`str::parse`] reads, except synonyms such as `swish` and names such as `forward(tanh)`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::torch_names().chain(BEYOND_TORCH.map(Self::name)).chain(["sine"])
    }

    /// Returns the nonlinearity with this name in a spec, such as `relu` or `forward(tanh)`. `parameter` is the slope
    /// of `leaky_relu` or the omega of `sine`. Other nonlinearities ignore it.
    pub(crate) fn from_name(name: &str, parameter: Option<f64>) -> Result<Self, Error> {
        let inner = name.strip_prefix("forward(").and_then(|rest| rest.strip_suffix(')'));
        let bare = match inner.unwrap_or(name) {
            // These synonyms are the names in transformers and JAX.
            "swish" => "silu",
            "gelu_new" | "gelu_pytorch_tanh" => "gelu_tanh",
            "relu2" => "relu_squared",
            other => other,
        };
        let beyond = BEYOND_TORCH.into_iter().find(|known| known.name() == bare);
        let found = match (inner, bare) {
            (Some(_), _) => {
                let forward = FORWARD.iter().find(|known| known.name() == bare);
                forward.map(Nonlinearity::Forward).or(beyond)
            }
            (None, "sine") => Some(Nonlinearity::Sine { omega: parameter.unwrap_or(1.0) }),
            (None, _) => beyond.or_else(|| Self::from_torch_name(bare, parameter).ok()),
        };
        let name = inner.unwrap_or(name);
        found.ok_or_else(|| Error::Nonlinearity {
            name: name.to_owned(),
            suggestion: nearest(name, Self::names()),
        })
    }

    /// Returns the canonical variant that computes the same function as `self`. Convolutions, such as `Conv2d`, become
    /// `Linear`. [`Nonlinearity::Forward`] becomes the canonical variant of the wrapped nonlinearity. Every other
    /// variant is returned unchanged.
    #[must_use]
    pub const fn function(self) -> Self {
        match self {
            Nonlinearity::Conv1d
            | Nonlinearity::Conv2d
            | Nonlinearity::Conv3d
            | Nonlinearity::ConvTranspose1d
            | Nonlinearity::ConvTranspose2d
            | Nonlinearity::ConvTranspose3d => Nonlinearity::Linear,
            Nonlinearity::Forward(function) => function.function(),
            other => other,
        }
    }
}

impl std::fmt::Display for Nonlinearity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Nonlinearity::LeakyRelu { slope } => write!(f, "leaky_relu({slope})"),
            Nonlinearity::Sine { omega } => write!(f, "sine({omega})"),
            Nonlinearity::Forward(function) => write!(f, "forward({function})"),
            plain => f.write_str(plain.name()),
        }
    }
}

impl std::str::FromStr for Nonlinearity {
    type Err = Error;

    /// Parses a name as printed by `Display`, or a synonym such as `swish`. Without a parameter, the slope of
    /// `leaky_relu` is 0.01, and the omega of `sine` is 1.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |name: &str, parameter: &str| {
            let inside = text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?;
            inside.strip_prefix(parameter).unwrap_or(inside).parse::<f64>().ok()
        };
        for (name, parameter) in [("leaky_relu", "negative_slope="), ("sine", "omega=")] {
            if let Some(number) = number(name, parameter) {
                return Self::from_name(name, Some(number));
            }
        }
        Self::from_name(text, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_gains_agree_with_an_independent_integration() {
        // The expected gains were computed by mpmath.quad with 30 digits. The interval was split at the kinks.
        for (nonlinearity, gain) in [
            (Nonlinearity::Relu, std::f64::consts::SQRT_2),
            (Nonlinearity::ReluSquared, (2f64 / 3.0).sqrt()),
            (Nonlinearity::Tanh, 1.592_537_419_722_831),
            (Nonlinearity::Sigmoid, 1.846_228_545_338_605),
            (Nonlinearity::Gelu, 1.533_530_441_195_535),
            (Nonlinearity::GeluTanh, 1.533_580_521_666_147),
            (Nonlinearity::Silu, 1.676_532_470_331_091),
            (Nonlinearity::Mish, 1.486_847_581_273_208),
            (Nonlinearity::Elu, 1.245_198_300_700_707),
            (Nonlinearity::Celu, 1.245_198_300_700_707),
            (Nonlinearity::Selu, 1.0),
            (Nonlinearity::Softplus, 1.041_866_835_535_302),
            (Nonlinearity::Logsigmoid, 1.041_866_835_535_302),
            (Nonlinearity::Hardswish, 1.736_657_212_766_542),
            (Nonlinearity::QuickGelu, 1.539_458_762_298_831),
            (Nonlinearity::Softsign, 2.337_533_363_108_54),
            (Nonlinearity::Relu6, 1.414_213_565_095_074),
            (Nonlinearity::Hardtanh, 1.392_036_140_448_31),
            (Nonlinearity::Tanhshrink, 2.338_367_530_102_121),
            (Nonlinearity::Hardsigmoid, 1.897_840_424_729_559),
        ] {
            let found = nonlinearity.forward_gain();
            assert!((found - gain).abs() < 1e-11, "{nonlinearity:?}: {found} {gain}");
        }
        for omega in [0.5, 2.0] {
            let quadrature = forward_gain(|x| (omega * x).sin());
            assert!((Nonlinearity::Sine { omega }.gain() - quadrature).abs() < 1e-11);
        }
    }

    #[test]
    fn a_parameter_is_named_once_and_by_its_own_name() {
        assert_eq!("leaky_relu(negative_slope=0.5)".parse(), Ok(Nonlinearity::LeakyRelu { slope: 0.5 }));
        assert_eq!("sine(omega=30)".parse(), Ok(Nonlinearity::Sine { omega: 30.0 }));
        for text in ["sine(negative_slope=30)", "leaky_relu(negative_slope=negative_slope=0.5)"] {
            assert!(text.parse::<Nonlinearity>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_nonlinearity_parses_from_what_it_prints() {
        let forward = FORWARD.iter().map(Nonlinearity::Forward);
        let names = Nonlinearity::names().map(|name| name.parse().unwrap());
        let slopes = [Nonlinearity::LeakyRelu { slope: 0.2 }, Nonlinearity::Sine { omega: 30.0 }];
        for nonlinearity in names.chain(forward).chain(slopes) {
            assert_eq!(nonlinearity.to_string().parse::<Nonlinearity>().unwrap(), nonlinearity);
        }
        let read = |text: &str| text.parse::<Nonlinearity>().unwrap();
        assert_eq!(read("swish"), Nonlinearity::Silu);
        assert_eq!(read("forward(gelu)"), Nonlinearity::Gelu);
        assert_eq!(read("leaky_relu(negative_slope=0.5)"), Nonlinearity::LeakyRelu { slope: 0.5 });
        for wrong in ["rleu", "relu(1)", "leaky_relu(x)", "forward(leaky_relu)", "forward(linear)", ""] {
            assert!(wrong.parse::<Nonlinearity>().is_err(), "{wrong}");
        }
    }
}
