//! Computes the factors by which a nonlinearity changes the mean square of a normally distributed signal and of its
//! gradient.

use fanin::Nonlinearity;

/// Returns `E[f(x)^2]` for x ~ N(0, variance): the mean square of a signal after the nonlinearity f.
pub fn forward(f: Nonlinearity, variance: f64) -> f64 {
    if variance == 0.0 {
        return f.apply(0.0).powi(2);
    }
    if let Nonlinearity::Sine { omega } = f {
        // For a sine, the expected value has a closed form. Numerical integration is too coarse for a high frequency.
        return -0.5 * (-2.0 * omega * omega * variance).exp_m1();
    }
    expectation(f, variance, |x| f.apply(x).powi(2))
}

/// Returns `E[f'(x)^2]` for x ~ N(0, variance). In the backward pass, f multiplies the mean square of a gradient by
/// this factor.
pub fn backward(f: Nonlinearity, variance: f64) -> f64 {
    if let Nonlinearity::Sine { omega } = f {
        return 0.5 * omega * omega * (1.0 + (-2.0 * omega * omega * variance).exp());
    }
    expectation(f, variance, |x| f.derivative(x).powi(2))
}

/// Returns the factor by which each layer of a stack multiplies a small deviation of the variance from 1. The variance
/// v is that of the weighted sums to which the nonlinearity f is applied. The weights are scaled to keep v at 1.
///
/// The factor is the derivative of `forward(f, v)` with respect to v, divided by `forward(f, v)`, at v = 1 (see
/// [`forward`]).
pub fn deviation_factor(f: Nonlinearity) -> f64 {
    const STEP: f64 = 1e-4;
    (forward(f, 1.0 + STEP) - forward(f, 1.0 - STEP)) / (2.0 * STEP) / forward(f, 1.0)
}

/// Returns `E[g(x)]` for x ~ N(0, variance). The function g is computed from f or its derivative. The derivative of f
/// jumps at the kinks of f, so Simpson's rule is applied between the kinks.
fn expectation(f: Nonlinearity, variance: f64, g: impl Fn(f64) -> f64) -> f64 {
    // The integral is computed from -RANGE to RANGE standard deviations.
    const RANGE: f64 = 10.0;
    // The largest step of Simpson's rule, in standard deviations.
    const STEP: f64 = 0.005;
    // The std is clamped. A variance of 0 or infinity then gives the limit of the expectation.
    let std = variance.sqrt().clamp(1e-150, 1e150);
    let mut ends = vec![-RANGE, 0.0, RANGE];
    ends.extend(f.kinks().iter().map(|kink| kink / std).filter(|z| z.abs() < RANGE));
    ends.sort_by(f64::total_cmp);
    let integrals = ends.windows(2).map(|ends| {
        let [from, to] = [ends[0], ends[1]];
        let panels = 2 * ((to - from) / STEP / 2.0).ceil().max(1.0) as usize;
        let step = (to - from) / panels as f64;
        // The integrand g may jump at the ends of an interval, so g is evaluated just inside of the ends.
        let inside = |z: f64| z.clamp(from + 1e-12, to - 1e-12);
        let at = |k: usize| {
            let z = inside(from + k as f64 * step);
            g(std * z) * density(z)
        };
        let inner: f64 = (1..panels).map(|k| if k % 2 == 1 { 4.0 } else { 2.0 } * at(k)).sum();
        (at(0) + inner + at(panels)) * step / 3.0
    });
    integrals.sum()
}

/// Returns the density of the standard normal distribution at `x`.
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_with_known_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(forward(Nonlinearity::Linear, 3.0), 3.0);
        near(forward(Nonlinearity::Relu, 3.0), 1.5);
        near(backward(Nonlinearity::Relu, 3.0), 0.5);
        near(forward(Nonlinearity::Relu, 0.0), 0.0);
        near(forward(Nonlinearity::LeakyRelu { slope: 0.5 }, 1.0), 0.625);
        near(backward(Nonlinearity::LeakyRelu { slope: 0.5 }, 7.0), 0.625);
        // By Klambauer et al. 2017, SELU keeps a mean of 0 and a variance of 1.
        near(forward(Nonlinearity::Selu, 1.0), 1.0);
        // The constants are E[f(z)^2] and E[f'(z)^2] for z ~ N(0, 1), computed by mpmath with 30 digits.
        near(forward(Nonlinearity::Tanh, 1.0), 0.394294490397841);
        near(forward(Nonlinearity::Gelu, 1.0), 0.425221482570299);
        near(forward(Nonlinearity::Silu, 1.0), 0.355775519817352);
        near(backward(Nonlinearity::Sigmoid, 1.0), 0.0448362413501944);
        // These derivatives jump at kinks other than 0. The constants are P(|z| < 1) and P(|z| < 3 / 2) / 36.
        near(backward(Nonlinearity::Hardtanh, 1.0), 0.682689492137086);
        near(backward(Nonlinearity::Hardsigmoid, 4.0), 0.866385597462284 / 36.0);
        // The closed forms for a sine agree with the numerical integration.
        let sine = Nonlinearity::Sine { omega: 2.0 };
        near(forward(sine, 0.7), expectation(sine, 0.7, |x| (2.0 * x).sin().powi(2)));
        near(backward(sine, 0.7), expectation(sine, 0.7, |x| (2.0 * (2.0 * x).cos()).powi(2)));
        // The constants are E[z f(z) f'(z)] / E[f(z)^2], computed by mpmath.
        assert!((deviation_factor(Nonlinearity::Gelu) - 1.144).abs() < 1e-3);
        assert!((deviation_factor(Nonlinearity::Tanh) - 0.461).abs() < 1e-3);
    }
}
