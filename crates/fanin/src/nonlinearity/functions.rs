//! Computes nonlinearities and their derivatives.

use std::f64::consts::{PI, SQRT_2};

use super::Nonlinearity;

// The constants lambda and alpha of SELU (Klambauer et al. 2017, equation 14).
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

impl Nonlinearity {
    /// Returns the value of the nonlinearity at `x`. Activation functions that `torch.nn.functional` also has are
    /// defined as there, with default arguments. There are three exceptions: `LeakyRelu` uses its own `slope`,
    /// `GeluTanh` uses `approximate="tanh"`, and `Softplus` has no threshold. The value at NaN is NaN.
    pub fn apply(self, x: f64) -> f64 {
        // `f64::max` and `f64::min` return the other argument instead.
        if x.is_nan() {
            return x;
        }
        match self.function() {
            Nonlinearity::Celu | Nonlinearity::Elu => x.max(0.0) + libm::expm1(x.min(0.0)),
            Nonlinearity::Gelu => x * libm::erfc(-x / SQRT_2) / 2.0,
            Nonlinearity::GeluTanh => x * (1.0 + libm::tanh(gelu_tanh_argument(x))) / 2.0,
            Nonlinearity::Hardsigmoid => hardsigmoid(x),
            Nonlinearity::Hardswish => x * hardsigmoid(x),
            Nonlinearity::Hardtanh => x.clamp(-1.0, 1.0),
            Nonlinearity::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Nonlinearity::Logsigmoid => -softplus(-x),
            Nonlinearity::Mish => x * libm::tanh(softplus(x)),
            Nonlinearity::QuickGelu => x * sigmoid(1.702 * x),
            Nonlinearity::Relu => x.max(0.0),
            Nonlinearity::Relu6 => x.clamp(0.0, 6.0),
            Nonlinearity::ReluSquared => x.max(0.0) * x.max(0.0),
            Nonlinearity::Selu => SELU_SCALE * (x.max(0.0) + SELU_ALPHA * libm::expm1(x.min(0.0))),
            Nonlinearity::Sigmoid => sigmoid(x),
            Nonlinearity::Silu => x * sigmoid(x),
            Nonlinearity::Sine { omega } => libm::sin(omega * x),
            Nonlinearity::Softplus => softplus(x),
            Nonlinearity::Softsign => x / (1.0 + x.abs()),
            Nonlinearity::Tanh => libm::tanh(x),
            Nonlinearity::Tanhshrink => x - libm::tanh(x),
            // Only `Linear` remains, because `function` returns neither `Forward` nor a synonym of `Linear`.
            _ => x,
        }
    }

    /// Returns the derivative of the nonlinearity at `x`. At a kink, the result is the derivative on one side.
    pub fn derivative(self, x: f64) -> f64 {
        let select = |condition: bool, inside: f64, outside: f64| if condition { inside } else { outside };
        match self.function() {
            Nonlinearity::Celu | Nonlinearity::Elu => select(x > 0.0, 1.0, libm::exp(x)),
            Nonlinearity::Gelu => {
                let density = libm::exp(-x * x / 2.0) / (2.0 * PI).sqrt();
                0.5 * libm::erfc(-x / SQRT_2) + x * density
            }
            Nonlinearity::GeluTanh => {
                let argument = gelu_tanh_argument(x);
                let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
                0.5 * (1.0 + libm::tanh(argument)) + 0.5 * x * tanh_derivative(argument) * slope
            }
            Nonlinearity::Hardsigmoid => select(x.abs() < 3.0, 1.0 / 6.0, 0.0),
            Nonlinearity::Hardswish => select(x.abs() < 3.0, x / 3.0 + 0.5, select(x > 0.0, 1.0, 0.0)),
            Nonlinearity::Hardtanh => select(x.abs() < 1.0, 1.0, 0.0),
            Nonlinearity::LeakyRelu { slope } => select(x > 0.0, 1.0, slope),
            Nonlinearity::Logsigmoid => sigmoid(-x),
            Nonlinearity::Mish => {
                let softplus = softplus(x);
                libm::tanh(softplus) + x * tanh_derivative(softplus) * sigmoid(x)
            }
            Nonlinearity::QuickGelu => sigmoid(1.702 * x) + 1.702 * x * sigmoid_derivative(1.702 * x),
            Nonlinearity::Relu => select(x > 0.0, 1.0, 0.0),
            Nonlinearity::Relu6 => select(x > 0.0 && x < 6.0, 1.0, 0.0),
            Nonlinearity::ReluSquared => 2.0 * x.max(0.0),
            Nonlinearity::Selu => SELU_SCALE * select(x > 0.0, 1.0, SELU_ALPHA * libm::exp(x)),
            Nonlinearity::Sigmoid => sigmoid_derivative(x),
            Nonlinearity::Silu => sigmoid(x) + x * sigmoid_derivative(x),
            Nonlinearity::Sine { omega } => omega * libm::cos(omega * x),
            Nonlinearity::Softplus => sigmoid(x),
            Nonlinearity::Softsign => 1.0 / ((1.0 + x.abs()) * (1.0 + x.abs())),
            Nonlinearity::Tanh => tanh_derivative(x),
            Nonlinearity::Tanhshrink => libm::tanh(x) * libm::tanh(x),
            // Only `Linear` remains, because `function` returns neither `Forward` nor a synonym of `Linear`.
            _ => 1.0,
        }
    }

    /// Returns the points at which the derivative jumps, in ascending order. For `Relu6`, the result is `[6.0]`. The
    /// point 0 is never included, even if the derivative jumps there, as for `Relu`.
    pub const fn kinks(self) -> &'static [f64] {
        match self.function() {
            Nonlinearity::Hardtanh => &[-1.0, 1.0],
            Nonlinearity::Hardsigmoid | Nonlinearity::Hardswish => &[-3.0, 3.0],
            Nonlinearity::Relu6 => &[6.0],
            _ => &[],
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn sigmoid_derivative(x: f64) -> f64 {
    sigmoid(x) * (1.0 - sigmoid(x))
}

fn tanh_derivative(x: f64) -> f64 {
    1.0 - libm::tanh(x) * libm::tanh(x)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn hardsigmoid(x: f64) -> f64 {
    (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// Returns the argument of `tanh` in the tanh approximation of GELU.
fn gelu_tanh_argument(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_at_nan_is_nan() {
        for name in Nonlinearity::names() {
            let nonlinearity: Nonlinearity = name.parse().unwrap();
            assert!(nonlinearity.apply(f64::NAN).is_nan(), "{name}");
        }
    }

    #[test]
    fn derivatives_agree_with_difference_quotients() {
        let names = Nonlinearity::names().map(|name| name.parse().unwrap());
        for nonlinearity in names.chain([Nonlinearity::Sine { omega: 30.0 }]) {
            for x in [-7.0, -3.3, -2.9, -0.7, 0.3, 2.5, 4.0, 6.5] {
                let quotient = (nonlinearity.apply(x + 1e-6) - nonlinearity.apply(x - 1e-6)) / 2e-6;
                assert!((quotient - nonlinearity.derivative(x)).abs() < 1e-6, "{nonlinearity} {x}");
            }
        }
    }
}
