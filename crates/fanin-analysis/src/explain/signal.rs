//! What layers of one kind do to the mean square of a signal, and of its gradient, layer after layer.

use fanin::Fans;

use super::activation::Activation;

/// A stack of layers whose weights are independent, of mean 0 and of one variance, each followed by a nonlinearity, with
/// biases 0. In wide layers the sums are normal, so a layer makes of the mean square m of its inputs
///
/// ```text
/// q = fan_in std^2 m          variance of its sums            (He et al. 2015, equation 7)
/// m' = E[f(sqrt(q) z)^2]      mean square of its outputs      (Poole et al. 2016, equation 3)
/// ```
///
/// and of the mean square g of its outputs' gradient `fan_out std^2 E[f'(sqrt(q) z)^2] g` (He et al. 2015, equation 12).
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    /// Of each layer.
    pub fans: Fans,
    /// Standard deviation of the weights.
    pub std: f64,
    /// What follows each layer.
    pub activation: Activation,
}

/// The mean squares after some layers, where both were 1 before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct After {
    /// How many.
    pub layers: usize,
    /// Of the signal, after the nonlinearity.
    pub forward: f64,
    /// Of the gradient, having come back through as many.
    pub backward: f64,
    /// What the last of the layers made of the signal, and of the gradient, as factors.
    pub last: (f64, f64),
}

impl Stack {
    /// After so many layers. The depths must ascend.
    pub fn after(&self, depths: &[usize]) -> Vec<After> {
        let (mut forward, mut backward) = (1.0, 1.0);
        let (mut layer, mut last, mut found) = (0, (1.0, 1.0), Vec::new());
        for &layers in depths {
            while layer < layers {
                let q = self.fans.fan_in as f64 * self.std * self.std * forward;
                let outputs = self.activation.forward(q);
                last = (
                    outputs / forward,
                    self.fans.fan_out as f64 * self.std * self.std * self.activation.backward(q),
                );
                (forward, backward) = (outputs, backward * last.1);
                layer += 1;
            }
            found.push(After { layers, forward, backward, last });
        }
        found
    }
}

/// A factor in words, and whether it still changes: `last` is what the last layer did to it.
pub fn verdict(factor: f64, last: f64) -> &'static str {
    match factor {
        x if x.is_nan() => "no number",
        x if (0.99..=1.01).contains(&x) => "kept",
        x if x < 1e-4 => "gone",
        x if x > 1e4 => "blown up",
        _ if (0.999..=1.001).contains(&last) => "settled",
        _ if last < 1.0 => "fading",
        _ => "growing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_schemes_keep_what_they_promise() {
        let stack =
            |std: f64, activation| Stack { fans: Fans { fan_in: 400, fan_out: 100 }, std, activation };
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
        let he = stack((2.0f64 / 400.0).sqrt(), Activation::RELU).after(&[1, 10, 50]);
        near(he[2].forward, 1.0);
        near(he[1].backward, 0.25f64.powi(10));
        let half = stack(1.0 / 20.0, Activation::RELU).after(&[10]);
        near(half[0].forward, 0.5f64.powi(10));
        near(stack(1.0 / 20.0, Activation::Of(fanin::Activation::Selu)).after(&[50])[0].forward, 1.0);
        // The gradient of a sigmoid dies: its slope is at most 1/4.
        assert!(
            stack(1.0 / 20.0, Activation::Of(fanin::Activation::Sigmoid)).after(&[10])[0].backward
                < 16f64.powi(-10)
        );
        // What a tanh gets too much of, it cuts.
        let tanh = stack(5.0 / 20.0, Activation::Of(fanin::Activation::Tanh)).after(&[50]);
        assert!(tanh[0].forward < 1.0 && tanh[0].forward > 0.5);
        assert_eq!(verdict(tanh[0].forward, tanh[0].last.0), "settled");
        // A SIREN: from 1, and it stays near 0.8 / 2 of sines whose arguments have a variance of 2 times that.
        let siren = stack((2.0f64 / 400.0).sqrt() / 30.0, Activation::Sine(30.0)).after(&[20]);
        assert_eq!(verdict(siren[0].forward, siren[0].last.0), "settled");
        near(siren[0].forward, -0.5 * (-4.0 * siren[0].forward).exp_m1());
        let wild = stack(10.0, Activation::RELU).after(&[50]);
        assert!(wild[0].forward > 1e100 && verdict(wild[0].forward, wild[0].last.0) == "blown up");
    }
}
