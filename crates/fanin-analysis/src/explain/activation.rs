//! Nonlinearities as functions: what each leaves of a normal signal's mean square, and of its gradient's.

use fanin::init::{Init, kaiming_normal, xavier_normal};
use fanin::{Activation as Function, Nonlinearity};
use statrs::function::erf::erf;

use super::wiring::Wiring;
use crate::error::{Error, Result};
use fanin_recipe::error::did_you_mean;

/// A nonlinearity that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// None.
    Linear,
    /// x, or the slope times x below 0.
    LeakyRelu(f64),
    /// sin(omega x), as in a SIREN.
    Sine(f64),
    /// One of the library's.
    Of(Function),
}

const SCALE: f64 = 1.0507009873554805;
const ALPHA: f64 = 1.6732632423543772;

impl Activation {
    /// max(0, x).
    pub const RELU: Activation = Activation::Of(Function::Relu);

    /// Those that a comparison shows, the leaky one with torch's default slope.
    pub const COMMON: [Activation; 9] = [
        Activation::Linear,
        Activation::RELU,
        Activation::LeakyRelu(Nonlinearity::DEFAULT_SLOPE),
        Activation::Of(Function::Tanh),
        Activation::Of(Function::Sigmoid),
        Activation::Of(Function::Selu),
        Activation::Of(Function::Elu),
        Activation::Of(Function::Gelu),
        Activation::Of(Function::Silu),
    ];

    /// As torch calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Linear => "linear",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Sine(_) => "sine",
            Activation::Of(function) => function.name(),
        }
    }

    /// Reads a name; a leaky_relu may have its slope in parentheses, a sine its factor. The names of layers are linear, as
    /// torch's gains have them; `forward(tanh)`, a gain of a spec, is tanh.
    ///
    /// # Errors
    /// Any other name.
    pub fn read(text: &str) -> Result<Self> {
        let text = text.strip_prefix("forward(").and_then(|text| text.strip_suffix(')')).unwrap_or(text);
        let (name, number) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, number)) => (name, Some(number.trim_start_matches("negative_slope=").parse())),
            None => (text, None),
        };
        match (name, number) {
            ("leaky_relu", None) => return Ok(Activation::LeakyRelu(Nonlinearity::DEFAULT_SLOPE)),
            ("leaky_relu", Some(Ok(slope))) => return Ok(Activation::LeakyRelu(slope)),
            ("sine", None) => return Ok(Activation::Sine(1.0)),
            ("sine", Some(Ok(omega))) => return Ok(Activation::Sine(omega)),
            ("linear", None) => return Ok(Activation::Linear),
            (name, None) if name.starts_with("conv") => return Ok(Activation::Linear),
            (name, None) => {
                if let Some(function) = Function::from_name(name) {
                    return Ok(Activation::Of(function));
                }
            }
            _ => {}
        }
        let names = ["linear", "leaky_relu", "sine"].into_iter().chain(Function::ALL.map(Function::name));
        let names: Vec<&str> = names.collect();
        let hint = did_you_mean(name, names.iter().copied());
        Err(Error::Request(format!(
            "there is no nonlinearity {text:?}{hint}: use one of {}",
            names.join(", ")
        )))
    }

    /// Its value.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Activation::Linear => x,
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Activation::Sine(omega) => (omega * x).sin(),
            Activation::Of(function) => function.apply(x),
        }
    }

    /// Its derivative.
    pub fn slope(self, x: f64) -> f64 {
        let step = |within: bool, inside: f64, outside: f64| if within { inside } else { outside };
        let of_sigmoid = |x: f64| sigmoid(x) * (1.0 - sigmoid(x));
        let of_tanh = |x: f64| 1.0 - x.tanh().powi(2);
        let function = match self {
            Activation::Linear => return 1.0,
            Activation::LeakyRelu(slope) => return step(x > 0.0, 1.0, slope),
            Activation::Sine(omega) => return omega * (omega * x).cos(),
            Activation::Of(function) => function,
        };
        match function {
            Function::Relu => step(x > 0.0, 1.0, 0.0),
            Function::Relu6 => step(x > 0.0 && x < 6.0, 1.0, 0.0),
            Function::ReluSquared => 2.0 * x.max(0.0),
            Function::Tanh => of_tanh(x),
            Function::Tanhshrink => x.tanh().powi(2),
            Function::Hardtanh => step(x.abs() < 1.0, 1.0, 0.0),
            Function::Sigmoid => of_sigmoid(x),
            Function::Logsigmoid => sigmoid(-x),
            Function::Hardsigmoid => step(x.abs() < 3.0, 1.0 / 6.0, 0.0),
            Function::Softplus => sigmoid(x),
            Function::Softsign => (1.0 + x.abs()).powi(-2),
            Function::Selu => SCALE * step(x > 0.0, 1.0, ALPHA * x.exp()),
            Function::Elu | Function::Celu => step(x > 0.0, 1.0, x.exp()),
            Function::Gelu => below(x) + x * density(x),
            Function::GeluTanh => {
                let scale = (2.0 / std::f64::consts::PI).sqrt();
                let inner = scale * (x + 0.044715 * x.powi(3));
                let inner_slope = scale * (1.0 + 3.0 * 0.044715 * x * x);
                0.5 * (1.0 + inner.tanh()) + 0.5 * x * of_tanh(inner) * inner_slope
            }
            Function::QuickGelu => sigmoid(1.702 * x) + 1.702 * x * of_sigmoid(1.702 * x),
            Function::Silu => sigmoid(x) + x * of_sigmoid(x),
            Function::Hardswish => step(x.abs() < 3.0, x / 3.0 + 0.5, step(x > 0.0, 1.0, 0.0)),
            Function::Mish => {
                let plus = Function::Softplus.apply(x);
                plus.tanh() + x * of_tanh(plus) * sigmoid(x)
            }
            // The library may have more one day; not knowing the derivative, it is measured.
            other => (other.apply(x + 1e-5) - other.apply(x - 1e-5)) / 2e-5,
        }
    }

    /// Where it or its derivative jumps, beside 0.
    fn kinks(self) -> &'static [f64] {
        match self {
            Activation::Of(Function::Hardtanh) => &[-1.0, 1.0],
            Activation::Of(Function::Hardsigmoid | Function::Hardswish) => &[-3.0, 3.0],
            Activation::Of(Function::Relu6) => &[6.0],
            _ => &[],
        }
    }

    /// E[f(x)^2] for x of N(0, variance): what is left of the mean square.
    pub fn forward(self, variance: f64) -> f64 {
        if variance == 0.0 {
            return self.value(0.0).powi(2);
        }
        if let Activation::Sine(omega) = self {
            // What oscillates within the reach has a closed form.
            return -0.5 * (-2.0 * omega * omega * variance).exp_m1();
        }
        self.expected(variance, |x| self.value(x).powi(2))
    }

    /// E[f'(x)^2] for x of N(0, variance): what is left of a gradient's mean square.
    pub fn backward(self, variance: f64) -> f64 {
        if let Activation::Sine(omega) = self {
            return 0.5 * omega * omega * (1.0 + (-2.0 * omega * omega * variance).exp());
        }
        self.expected(variance, |x| self.slope(x).powi(2))
    }

    /// How much faster than its argument [`Activation::forward`] grows at a variance of 1: by what a departure from a
    /// level that each layer keeps is multiplied by the next.
    pub fn departure(self) -> f64 {
        const STEP: f64 = 1e-4;
        (self.forward(1.0 + STEP) - self.forward(1.0 - STEP)) / (2.0 * STEP) / self.forward(1.0)
    }

    /// E[g(x)] for x of N(0, variance), by Simpson's rule between the places where some have a kink.
    fn expected(self, variance: f64, g: impl Fn(f64) -> f64) -> f64 {
        const REACH: f64 = 10.0;
        const STEP: f64 = 0.005;
        // Neither 0 nor infinity: at both ends the limit from inside is meant.
        let std = variance.sqrt().clamp(1e-150, 1e150);
        let mut ends = vec![-REACH, 0.0, REACH];
        ends.extend(self.kinks().iter().map(|kink| kink / std).filter(|z| z.abs() < REACH));
        ends.sort_by(f64::total_cmp);
        let views = ends.windows(2).map(|ends| {
            let [from, to] = [ends[0], ends[1]];
            let panels = 2 * ((to - from) / STEP / 2.0).ceil().max(1.0) as usize;
            let step = (to - from) / panels as f64;
            // The ends are seen from within.
            let inside = |z: f64| z.clamp(from + 1e-12, to - 1e-12);
            let at = |k: usize| {
                let z = inside(from + k as f64 * step);
                g(std * z) * density(z)
            };
            let inner: f64 = (1..panels).map(|k| if k % 2 == 1 { 4.0 } else { 2.0 } * at(k)).sum();
            (at(0) + inner + at(panels)) * step / 3.0
        });
        views.sum()
    }

    /// A scheme that suits it in a layer wired so, and why.
    pub fn suited(self, wiring: &Wiring) -> (String, String) {
        let (layout, groups, fan_in) = (wiring.layout, wiring.groups, wiring.fans().fan_in);
        let kaiming = |nonlinearity| {
            let spec = kaiming_normal().nonlinearity(nonlinearity).layout(layout).groups(groups);
            Init::from(spec).to_string()
        };
        let spread = |variance: f64| {
            let std = (variance / fan_in.max(1) as f64).sqrt();
            format!("normal(std={})", fanin_recipe::text::short(std))
        };
        let (spec, why) = match self {
            Activation::Linear => (
                Init::from(xavier_normal().layout(layout).groups(groups)).to_string(),
                "between the two fans: Glorot, Bengio 2010, equation 12",
            ),
            Activation::RELU => (kaiming(Nonlinearity::Relu), "He et al. 2015, equation 10"),
            Activation::LeakyRelu(slope) => {
                (kaiming(Nonlinearity::LeakyRelu { slope }), "He et al. 2015, equation 15")
            }
            Activation::Sine(omega) => (
                spread(2.0 / (omega * omega)),
                "2/(fan_in omega^2), of which siren is the uniform one: Sitzmann et al. 2020",
            ),
            Activation::Of(Function::Tanh) => (
                kaiming(Nonlinearity::Linear),
                "1/fan_in: its slope at 0 is 1, and this is the edge between fading and chaos (Poole et al. 2016)",
            ),
            // 1 / (f'(0)^2 (1 + f(0)^2)) with f(0) = 1/2 and f'(0) = 1/4.
            Activation::Of(Function::Sigmoid) => (
                spread(16.0 / 1.25),
                "3.6/sqrt(fan_in): Kumar 2017, arXiv 1704.08863; in a deep stack no std keeps its gradient",
            ),
            Activation::Of(Function::Selu) => {
                (kaiming(Nonlinearity::Linear), "1/fan_in: Klambauer et al. 2017")
            }
            other => {
                let why = "1/(fan_in E[f^2]) keeps sums of variance 1 at that";
                let departure = other.departure();
                let why = if departure > 1.0 {
                    let factor = fanin_recipe::text::short(departure);
                    format!(
                        "{why}, but each layer multiplies a departure by {factor}: wants norms or shortcuts"
                    )
                } else {
                    format!("{why}, and a departure dies out")
                };
                return (spread(1.0 / other.forward(1.0)), why);
            }
        };
        (spec, why.to_owned())
    }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Activation::LeakyRelu(slope) => write!(f, "leaky_relu({slope})"),
            Activation::Sine(omega) => write!(f, "sine({omega})"),
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
        let of = |function| Activation::Of(function);
        near(Activation::RELU.forward(3.0), 1.5);
        near(Activation::RELU.backward(3.0), 0.5);
        near(Activation::RELU.forward(0.0), 0.0);
        near(Activation::LeakyRelu(0.5).forward(1.0), 0.625);
        near(Activation::LeakyRelu(0.5).backward(7.0), 0.625);
        // Klambauer et al. 2017: mean 0 and variance 1 are a fixed point.
        near(of(Function::Selu).forward(1.0), 1.0);
        // By mpmath, quad of f(z)^2 over the normal density, 30 digits.
        near(of(Function::Tanh).forward(1.0), 0.394294490397841);
        near(of(Function::Gelu).forward(1.0), 0.425221482570299);
        near(of(Function::Silu).forward(1.0), 0.355775519817352);
        near(of(Function::Sigmoid).backward(1.0), 0.0448362413501944);
        // What jumps away from 0 jumps where views meet: P(|z| < 1), and a 36th of P(|z| < 3 / 2).
        near(of(Function::Hardtanh).backward(1.0), 0.682689492137086);
        near(of(Function::Hardsigmoid).backward(4.0), 0.866385597462284 / 36.0);
        // The closed form of a sine against the rule that all others go by.
        near(
            Activation::Sine(2.0).forward(0.7),
            Activation::Sine(2.0).expected(0.7, |x| (2.0 * x).sin().powi(2)),
        );
        near(
            Activation::Sine(2.0).backward(0.7),
            Activation::Sine(2.0).expected(0.7, |x| (2.0 * (2.0 * x).cos()).powi(2)),
        );
        // mpmath again: z f(z) f'(z) in the mean, over E[f^2].
        assert!((of(Function::Gelu).departure() - 1.144).abs() < 1e-3);
        assert!((of(Function::Tanh).departure() - 0.461).abs() < 1e-3);
    }

    #[test]
    fn slopes_are_derivatives() {
        let functions = Function::ALL.map(Activation::Of);
        for activation in Activation::COMMON.into_iter().chain(functions).chain([Activation::Sine(30.0)]) {
            for x in [-7.0, -3.3, -2.9, -0.7, 0.3, 2.5, 4.0, 6.5] {
                let by_hand = (activation.value(x + 1e-6) - activation.value(x - 1e-6)) / 2e-6;
                assert!((by_hand - activation.slope(x)).abs() < 1e-6, "{activation} {x}");
            }
            assert_eq!(Activation::read(&activation.to_string()).unwrap(), activation);
        }
        assert_eq!(Activation::read("forward(tanh)").unwrap(), Activation::Of(Function::Tanh));
        assert_eq!(Activation::read("swish").unwrap(), Activation::Of(Function::Silu));
        assert_eq!(Activation::read("conv2d").unwrap(), Activation::Linear);
        for wrong in ["rleu", "relu(1)", "leaky_relu(x)", ""] {
            assert!(Activation::read(wrong).is_err(), "{wrong}");
        }
    }
}
