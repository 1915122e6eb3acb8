//! Nonlinearities and the gain that makes up for each.

use crate::activation::Activation;
use crate::error::{Error, nearest};

/// The nonlinearity that follows a layer.
///
/// The gains are `torch.nn.init.calculate_gain`'s, which mixes conventions: sigmoid has 1, tanh 5/3, selu 3/4,
/// while relu and leaky_relu have the gain of He et al. 2015, `E[f(z)^2]^(-1/2)` for z ~ N(0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Nonlinearity {
    /// None: gain 1.
    Linear,
    /// `conv1d`: gain 1.
    Conv1d,
    /// `conv2d`: gain 1.
    Conv2d,
    /// `conv3d`: gain 1.
    Conv3d,
    /// `conv_transpose1d`: gain 1.
    ConvTranspose1d,
    /// `conv_transpose2d`: gain 1.
    ConvTranspose2d,
    /// `conv_transpose3d`: gain 1.
    ConvTranspose3d,
    /// Logistic sigmoid: gain 1.
    Sigmoid,
    /// Hyperbolic tangent: gain 5/3.
    Tanh,
    /// `max(0, x)`: gain sqrt 2.
    Relu,
    /// `max(0, x) + slope * min(0, x)`: gain `sqrt(2 / (1 + slope^2))` (He et al. 2015, equation 15).
    LeakyRelu {
        /// The slope for negative inputs. Any number: infinite and NaN are refused by the schemes.
        slope: f64,
    },
    /// SELU: gain 3/4. For a self-normalizing network use [`Nonlinearity::Linear`], so that the variance is
    /// 1 / fan_in (Klambauer et al. 2017); 3/4 trades that for steadier gradients in rectangular layers.
    Selu,
    /// A function that torch's table does not have, or not in this convention: gain `E[f(z)^2]^(-1/2)`, z ~ N(0, 1), by
    /// quadrature ([`forward_gain`](crate::forward_gain)).
    Forward(Activation),
}

const PLAIN: [Nonlinearity; 11] = [
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

impl Nonlinearity {
    /// torch's slope where none is given.
    pub const DEFAULT_SLOPE: f64 = 0.01;

    /// The gain: what to multiply a weight's standard deviation by.
    ///
    /// ```
    /// # use fanin::Nonlinearity;
    /// assert_eq!(Nonlinearity::Relu.gain(), 2f64.sqrt());
    /// assert_eq!(Nonlinearity::LeakyRelu { slope: 1.0 }.gain(), 1.0);
    /// ```
    #[doc(alias = "calculate_gain")]
    pub fn gain(self) -> f64 {
        match self {
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Relu => 2f64.sqrt(),
            Nonlinearity::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
            Nonlinearity::Selu => 3.0 / 4.0,
            Nonlinearity::Forward(activation) => activation.gain(),
            _ => 1.0,
        }
    }

    /// As [`Nonlinearity::gain`], with the slope squared by the C library's `pow`, as Python squares it: for about one
    /// slope in a thousand that is the other neighbour of the exact square.
    #[allow(
        clippy::disallowed_methods,
        reason = "torch's own number is the C library's, and only its stream uses it"
    )]
    pub(crate) fn gain_on_torch(self) -> f64 {
        match self {
            // Behind a black box, since a compiler that sees the 2 multiplies instead.
            Nonlinearity::LeakyRelu { slope } => (2.0 / (1.0 + slope.powf(std::hint::black_box(2.0)))).sqrt(),
            other => other.gain(),
        }
    }

    /// torch's name, which is also the spec's.
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
            Nonlinearity::Forward(activation) => activation.name(),
        }
    }

    /// What a spec calls it: one of torch's names, another [`Activation`]'s, or `forward(tanh)` for the computed gain of
    /// either.
    pub(crate) fn from_spec(name: &str, slope: Option<f64>) -> Result<Self, Error> {
        let forward = name.strip_prefix("forward(").and_then(|rest| rest.strip_suffix(')'));
        let found = match forward {
            Some(name) => Activation::from_name(name).map(Nonlinearity::Forward),
            None => match Self::from_name(name, slope) {
                Ok(known) => Some(known),
                Err(_) => Activation::from_name(name).map(Nonlinearity::Forward),
            },
        };
        let name = forward.unwrap_or(name);
        let known = || Self::names().chain(Activation::ALL.map(Activation::name));
        found.ok_or_else(|| Error::Nonlinearity { name: name.to_owned(), suggestion: nearest(name, known()) })
    }

    /// Reads torch's name, with the slope of a leaky_relu (0.01 where `None`). The slope of any other is ignored,
    /// as torch ignores it.
    ///
    /// # Errors
    /// `Nonlinearity` for any other name.
    pub fn from_name(name: &str, slope: Option<f64>) -> Result<Self, Error> {
        if name == "leaky_relu" {
            return Ok(Nonlinearity::LeakyRelu { slope: slope.unwrap_or(Self::DEFAULT_SLOPE) });
        }
        PLAIN.into_iter().find(|plain| plain.name() == name).ok_or_else(|| Error::Nonlinearity {
            name: name.to_owned(),
            suggestion: nearest(name, Self::names()),
        })
    }

    /// Every name that [`Nonlinearity::from_name`] takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.into_iter().map(Self::name).chain(["leaky_relu"])
    }
}

impl std::fmt::Display for Nonlinearity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Nonlinearity::LeakyRelu { slope } => write!(f, "leaky_relu({slope})"),
            Nonlinearity::Forward(activation) if Self::from_name(activation.name(), None).is_ok() => {
                write!(f, "forward({})", activation.name())
            }
            plain => f.write_str(plain.name()),
        }
    }
}

/// A factor on the standard deviation: a number, or the one a nonlinearity asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Gain {
    /// The number itself.
    Value(f64),
    /// [`Nonlinearity::gain`].
    Of(Nonlinearity),
}

impl Gain {
    /// The number.
    pub fn value(self) -> f64 {
        match self {
            Gain::Value(value) => value,
            Gain::Of(nonlinearity) => nonlinearity.gain(),
        }
    }
}

impl From<f64> for Gain {
    fn from(value: f64) -> Self {
        Gain::Value(value)
    }
}

impl From<Nonlinearity> for Gain {
    fn from(nonlinearity: Nonlinearity) -> Self {
        Gain::Of(nonlinearity)
    }
}

impl std::fmt::Display for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Gain::Value(value) => value.fmt(f),
            Gain::Of(nonlinearity) => nonlinearity.fmt(f),
        }
    }
}
