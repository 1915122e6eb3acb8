//! Computes the mean squares of a signal and of its gradient in a stack of equal layers.

use fanin::{Fans, Nonlinearity};

use super::moments;

/// A stack of equal layers, each followed by the nonlinearity f. The weights are independent, with mean 0 and the same
/// variance. The biases are 0.
///
/// The weighted sums of a wide layer are nearly normally distributed. For inputs of mean square m and for z ~ N(0, 1):
///
/// ```text
/// q  = fan_in * std^2 * m         variance of the sums            (He et al. 2015, equation 7)
/// m' = E[f(sqrt(q) * z)^2]        mean square of the outputs      (Poole et al. 2016, equation 3)
/// ```
///
/// Let g be the mean square of the gradient of the outputs. The gradient of the inputs then has the mean square
/// `fan_out * std^2 * E[f'(sqrt(q) * z)^2] * g` (He et al. 2015, equation 12).
#[derive(Debug, Clone, Copy)]
pub struct LayerStack {
    /// The fans of each layer.
    pub fans: Fans,
    /// The standard deviation of the weights.
    pub std: f64,
    /// The nonlinearity after each layer.
    pub nonlinearity: Nonlinearity,
}

/// The mean squares of a signal and of its gradient in a stack of layers. The signal has mean square 1 before the first
/// layer, and is propagated forward. The gradient has mean square 1 after the last layer, and is propagated back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanSquares {
    /// The number of layers.
    pub layers: usize,
    /// The mean square of the signal after the last nonlinearity.
    pub forward: f64,
    /// The mean square of the gradient after its propagation back through all layers.
    pub backward: f64,
    /// The factors by which the last layer multiplied `forward` and `backward`. Both factors are 1 if there are no
    /// layers.
    pub last: (f64, f64),
}

impl LayerStack {
    /// Returns the mean squares of the signal and of its gradient for each number of layers in `depths`. `depths` must
    /// be in ascending order.
    pub fn after(&self, depths: &[usize]) -> Vec<MeanSquares> {
        let (mut forward, mut backward) = (1.0, 1.0);
        let (mut layer, mut last, mut found) = (0, (1.0, 1.0), Vec::new());
        for &layers in depths {
            while layer < layers {
                let q = self.fans.fan_in as f64 * self.std * self.std * forward;
                let outputs = moments::forward(self.nonlinearity, q);
                last = (
                    outputs / forward,
                    self.fans.fan_out as f64 * self.std * self.std * moments::backward(self.nonlinearity, q),
                );
                (forward, backward) = (outputs, backward * last.1);
                layer += 1;
            }
            found.push(MeanSquares { layers, forward, backward, last });
        }
        found
    }
}

/// Returns a word for the change of a mean square in a stack of layers, such as `kept` or `vanished`. `factor` is the
/// factor by which all layers together multiply the mean square. `last` is the factor of the last layer alone.
pub fn verdict(factor: f64, last: f64) -> &'static str {
    match factor {
        x if x.is_nan() => "NaN",
        x if (0.99..=1.01).contains(&x) => "kept",
        x if x < 1e-4 => "vanished",
        x if x > 1e4 => "exploded",
        _ if (0.999..=1.001).contains(&last) => "stable",
        x if x < 1.0 && last < 1.0 => "decreasing",
        x if x < 1.0 => "decreased",
        _ if last > 1.0 => "increasing",
        _ => "increased",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_squares_agree_with_the_claims_of_the_papers() {
        let stack = |std: f64, nonlinearity| LayerStack {
            fans: Fans { fan_in: 400, fan_out: 100 },
            std,
            nonlinearity,
        };
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
        let he = stack((2.0f64 / 400.0).sqrt(), Nonlinearity::Relu).after(&[1, 10, 50]);
        near(he[2].forward, 1.0);
        near(he[1].backward, 0.25f64.powi(10));
        let half = stack(1.0 / 20.0, Nonlinearity::Relu).after(&[10]);
        near(half[0].forward, 0.5f64.powi(10));
        near(stack(1.0 / 20.0, Nonlinearity::Selu).after(&[50])[0].forward, 1.0);
        // The gradient of a sigmoid vanishes, because its derivative is at most 1/4.
        assert!(stack(1.0 / 20.0, Nonlinearity::Sigmoid).after(&[10])[0].backward < 16f64.powi(-10));
        // The values of tanh are bounded, so the mean square of the signal stays below 1.
        let tanh = stack(5.0 / 20.0, Nonlinearity::Tanh).after(&[50]);
        assert!(tanh[0].forward < 1.0 && tanh[0].forward > 0.5);
        assert_eq!(verdict(tanh[0].forward, tanh[0].last.0), "stable");
        // In a SIREN the mean square m converges to the solution of m = E[sin(x)^2] for x ~ N(0, 2 m).
        let siren = stack((2.0f64 / 400.0).sqrt() / 30.0, Nonlinearity::Sine { omega: 30.0 }).after(&[20]);
        assert_eq!(verdict(siren[0].forward, siren[0].last.0), "stable");
        near(siren[0].forward, -0.5 * (-4.0 * siren[0].forward).exp_m1());
        let exploding = stack(10.0, Nonlinearity::Relu).after(&[50]);
        assert!(
            exploding[0].forward > 1e100 && verdict(exploding[0].forward, exploding[0].last.0) == "exploded"
        );
    }
}
