//! Nonlinearities as functions: what each leaves of a normal signal's mean square, and of its gradient's.

use fanin::init::{Init, kaiming_normal, xavier_normal};
use fanin::{Layout, Nonlinearity};
use statrs::function::erf::erf;

use crate::error::{Error, Result, did_you_mean};

/// A nonlinearity that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// None.
    Linear,
    /// max(0, x).
    Relu,
    /// x, or the slope times x below 0.
    LeakyRelu(f64),
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// Klambauer et al. 2017.
    Selu,
    /// x, or exp(x) - 1 below 0.
    Elu,
    /// x Phi(x).
    Gelu,
    /// x sigmoid(x).
    Silu,
}

const SCALE: f64 = 1.0507009873554805;
const ALPHA: f64 = 1.6732632423543772;

impl Activation {
    /// All, the leaky one with torch's default slope.
    pub const ALL: [Activation; 9] = [
        Activation::Linear,
        Activation::Relu,
        Activation::LeakyRelu(Nonlinearity::DEFAULT_SLOPE),
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Selu,
        Activation::Elu,
        Activation::Gelu,
        Activation::Silu,
    ];

    /// As torch calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Linear => "linear",
            Activation::Relu => "relu",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Selu => "selu",
            Activation::Elu => "elu",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
        }
    }

    /// Reads a name; a leaky_relu may have its slope in parentheses. The names of layers are linear, as torch's gains
    /// have them.
    ///
    /// # Errors
    /// Any other name.
    pub fn read(text: &str) -> Result<Self> {
        let (name, slope) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, slope)) => (name, Some(slope.trim_start_matches("negative_slope="))),
            None => (text, None),
        };
        let name = if name.starts_with("conv") { "linear" } else { name };
        let name = if name == "swish" { "silu" } else { name };
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        match (found, slope.map(str::parse)) {
            (Some(Activation::LeakyRelu(_)), Some(Ok(slope))) => Ok(Activation::LeakyRelu(slope)),
            (Some(found), None) => Ok(found),
            _ => {
                let names = Self::ALL.map(Self::name);
                let hint = did_you_mean(name, names);
                Err(Error::Request(format!(
                    "there is no nonlinearity {text:?}{hint}: use one of {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Its value.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Activation::Linear => x,
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
            Activation::Selu => SCALE * if x > 0.0 { x } else { ALPHA * x.exp_m1() },
            Activation::Elu => {
                if x > 0.0 {
                    x
                } else {
                    x.exp_m1()
                }
            }
            Activation::Gelu => x * below(x),
            Activation::Silu => x * sigmoid(x),
        }
    }

    /// Its derivative.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Activation::Linear => 1.0,
            Activation::Relu => {
                if x > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Activation::Tanh => 1.0 - x.tanh().powi(2),
            Activation::Sigmoid => sigmoid(x) * (1.0 - sigmoid(x)),
            Activation::Selu => SCALE * if x > 0.0 { 1.0 } else { ALPHA * x.exp() },
            Activation::Elu => {
                if x > 0.0 {
                    1.0
                } else {
                    x.exp()
                }
            }
            Activation::Gelu => below(x) + x * density(x),
            Activation::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
        }
    }

    /// E[f(x)^2] for x of N(0, variance): what is left of the mean square.
    pub fn forward(self, variance: f64) -> f64 {
        self.expected(variance, |x| self.value(x).powi(2))
    }

    /// E[f'(x)^2] for x of N(0, variance): what is left of a gradient's mean square.
    pub fn backward(self, variance: f64) -> f64 {
        self.expected(variance, |x| self.slope(x).powi(2))
    }

    /// E[g(x)] for x of N(0, variance), by Simpson's rule on both sides of 0, where some have a kink.
    fn expected(self, variance: f64, g: impl Fn(f64) -> f64) -> f64 {
        const REACH: f64 = 10.0;
        const PANELS: usize = 2000;
        // Neither 0 nor infinity: at both ends the limit from inside is meant.
        let (std, step) = (variance.sqrt().clamp(1e-150, 1e150), REACH / PANELS as f64);
        let side = |sign: f64| {
            let at = |k: usize| {
                let z = (k as f64 * step).max(1e-12) * sign;
                g(std * z) * density(z)
            };
            let inner: f64 = (1..PANELS).map(|k| if k % 2 == 1 { 4.0 } else { 2.0 } * at(k)).sum();
            (at(0) + inner + at(PANELS)) * step / 3.0
        };
        side(1.0) + side(-1.0)
    }

    /// A scheme that suits it, and why, for a layer of that fan_in and layout.
    pub fn suited(self, fan_in: usize, layout: Layout) -> (String, &'static str) {
        let xavier = || Init::from(xavier_normal().layout(layout)).to_string();
        let kaiming =
            |nonlinearity| Init::from(kaiming_normal().nonlinearity(nonlinearity).layout(layout)).to_string();
        match self {
            Activation::Linear => (xavier(), "Glorot, Bengio 2010, equation 12: between the two fans"),
            Activation::Relu => (kaiming(Nonlinearity::Relu), "He et al. 2015, equation 10"),
            Activation::LeakyRelu(slope) => {
                (kaiming(Nonlinearity::LeakyRelu { slope }), "He et al. 2015, equation 15")
            }
            Activation::Tanh => {
                (xavier(), "slope 1 at 0, so gain 1 is the edge between fading and chaos (Poole et al. 2016)")
            }
            Activation::Sigmoid => {
                // 1 / (f'(0)^2 (1 + f(0)^2)) with f(0) = 1/2 and f'(0) = 1/4.
                let std = (16.0f64 / 1.25 / fan_in.max(1) as f64).sqrt();
                (
                    format!("normal(std={})", crate::report::numbers::short(std)),
                    "3.6/sqrt(fan_in): Kumar 2017, arXiv 1704.08863",
                )
            }
            Activation::Selu => (kaiming(Nonlinearity::Linear), "1/fan_in: Klambauer et al. 2017"),
            Activation::Elu | Activation::Gelu | Activation::Silu => {
                let std = (1.0 / self.forward(1.0) / fan_in.max(1) as f64).sqrt();
                (
                    format!("normal(std={})", crate::report::numbers::short(std)),
                    "1/sqrt(fan_in E[f(z)^2]), z of N(0, 1): He's argument for any f",
                )
            }
        }
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Activation::LeakyRelu(slope) => write!(f, "leaky_relu({slope})"),
            other => f.write_str(other.name()),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The standard normal's density.
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The standard normal's distribution function.
fn below(x: f64) -> f64 {
    0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_squares_are_those_known() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(Activation::Linear.forward(3.0), 3.0);
        near(Activation::Relu.forward(3.0), 1.5);
        near(Activation::Relu.backward(3.0), 0.5);
        near(Activation::LeakyRelu(0.5).forward(1.0), 0.625);
        near(Activation::LeakyRelu(0.5).backward(7.0), 0.625);
        // Klambauer et al. 2017: mean 0 and variance 1 are a fixed point.
        near(Activation::Selu.forward(1.0), 1.0);
        // By mpmath, quad of f(z)^2 over the normal density, 30 digits.
        near(Activation::Tanh.forward(1.0), 0.394294490397841);
        near(Activation::Gelu.forward(1.0), 0.425221482570299);
        near(Activation::Silu.forward(1.0), 0.355775519817352);
        near(Activation::Sigmoid.backward(1.0), 0.0448362413501944);
    }

    #[test]
    fn slopes_are_derivatives() {
        for activation in Activation::ALL {
            for x in [-3.0, -0.7, 0.3, 2.5] {
                let by_hand = (activation.value(x + 1e-6) - activation.value(x - 1e-6)) / 2e-6;
                assert!((by_hand - activation.slope(x)).abs() < 1e-8, "{activation} {x}");
            }
            assert_eq!(Activation::read(&activation.to_string()).unwrap(), activation);
        }
        assert_eq!(Activation::read("conv2d").unwrap(), Activation::Linear);
        for wrong in ["rleu", "relu(1)", "leaky_relu(x)", ""] {
            assert!(Activation::read(wrong).is_err(), "{wrong}");
        }
    }
}
