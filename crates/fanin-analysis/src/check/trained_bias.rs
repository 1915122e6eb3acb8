//! Evidence that a layer was trained, from the values of its bias.

use super::classify::kind::{Classification, Kind};
use super::distribution::Univariate;

/// Returns whether a bias with these values was trained. `values` is the number of its values. `fan_in` is the fan-in
/// of the weight of the same layer, by the rule of `torch.nn.Linear`.
///
/// Initializers set biases to a constant, or to uniform values on [-b, b) with b = 1 / sqrt(fan_in). Other values are
/// therefore trained, but for special biases such as those of Mamba's `dt_proj`, whose values all have one sign.
pub(crate) fn is_trained_bias(bias: &Classification, values: usize, fan_in: usize) -> bool {
    match bias.kind {
        Kind::Fresh(Univariate::Uniform { low, high }) if !bias.unchanged => {
            // The estimated bounds are at most 1 / values further out than the largest value.
            let largest = (1.0 + 2.0 / values as f64) / (fan_in as f64).sqrt();
            low.abs().max(high.abs()) > largest
        }
        Kind::Other => bias.mean.zip(bias.std).is_some_and(|(mean, std)| mean.abs() < 2.0 * std),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bias(kind: Kind, mean: f64) -> Classification {
        Classification { kind, mean: Some(mean), std: Some(0.1), ..Classification::default() }
    }

    #[test]
    fn a_bias_is_trained_if_no_initializer_sets_its_values() {
        let uniform = |bound: f64| bias(Kind::Fresh(Univariate::Uniform { low: -bound, high: bound }), 0.0);
        assert!(!is_trained_bias(&uniform(0.1005), 128, 100) && is_trained_bias(&uniform(0.11), 128, 100));
        assert!(!is_trained_bias(&bias(Kind::Constant(0.0), 0.0), 128, 100));
        assert!(!is_trained_bias(&bias(Kind::TooFew, 0.0), 16, 100));
        assert!(is_trained_bias(&bias(Kind::Other, 0.05), 128, 100));
        // The biases of Mamba's `dt_proj` are inverse softpluses of small numbers.
        assert!(!is_trained_bias(&bias(Kind::Other, -4.6), 128, 100));
    }

    #[test]
    fn a_bias_that_torch_drew_was_not_trained_whatever_its_bound() {
        let drawn = Classification {
            unchanged: true,
            ..bias(Kind::Fresh(Univariate::Uniform { low: -0.5, high: 0.5 }), 0.0)
        };
        assert!(!is_trained_bias(&drawn, 128, 100));
    }
}
