//! Evidence that a model was trained, from the values of its biases and of its normalization layers.

use super::classify::kind::{Classification, Kind};
use super::distribution::Univariate;

/// Returns whether a vector was trained. The vector is a bias, or the weight or bias of a normalization layer.
///
/// `values` is the number of values of the vector. `fan_in` is the fan-in of the weight of the same layer, computed as
/// for `torch.nn.Linear`, and `None` for a normalization layer.
///
/// - Normalization layers are initialized with constants. Their vectors count as trained if the values look random or
///   have no known distribution.
/// - Other biases are initialized with a constant, or with uniform values on [-b, b) with b = 1 / sqrt(fan_in). They
///   count as trained if the values are uniform on a wider interval or have no known distribution. Exception: if the
///   distribution is not known, and the mean is at least two standard deviations from 0, the bias does not count as
///   trained. An example is Mamba's bias of `dt_proj`, which is initialized to values of one sign.
///
/// An unchanged draw of a known generator never counts as trained.
pub(crate) fn is_trained_vector(vector: &Classification, values: usize, fan_in: Option<usize>) -> bool {
    match (vector.kind, fan_in) {
        (Kind::Fresh(Univariate::Uniform { low, high }), Some(fan_in)) if !vector.unchanged => {
            // A fitted bound exceeds the largest magnitude of n values by a factor of at most about `1 + 2 / n`.
            let largest = (1.0 + 2.0 / values as f64) / (fan_in as f64).sqrt();
            low.abs().max(high.abs()) > largest
        }
        (Kind::Other, Some(_)) => {
            vector.mean.zip(vector.std).is_some_and(|(mean, std)| mean.abs() < 2.0 * std)
        }
        (Kind::Other, None) => true,
        (Kind::Fresh(_), None) => !vector.unchanged,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(kind: Kind, mean: f64) -> Classification {
        Classification { kind, mean: Some(mean), std: Some(0.1), ..Classification::default() }
    }

    #[test]
    fn a_bias_is_trained_if_no_initializer_sets_its_values() {
        let uniform = |bound: f64| vector(Kind::Fresh(Univariate::Uniform { low: -bound, high: bound }), 0.0);
        let trained = |bias: &Classification| is_trained_vector(bias, 128, Some(100));
        assert!(!trained(&uniform(0.1005)) && trained(&uniform(0.11)));
        assert!(!trained(&vector(Kind::Constant(0.0), 0.0)) && !trained(&vector(Kind::TooFew, 0.0)));
        assert!(trained(&vector(Kind::Other, 0.05)));
        // The biases of Mamba's `dt_proj` are inverse softpluses of small numbers.
        assert!(!trained(&vector(Kind::Other, -4.6)));
        // The values are an unchanged draw of a generator, so the bound does not matter.
        assert!(!trained(&Classification { unchanged: true, ..uniform(0.5) }));
    }

    #[test]
    fn the_weight_of_a_norm_is_trained_if_its_values_are_not_constant() {
        assert!(is_trained_vector(&vector(Kind::Other, 1.0), 128, None));
        let uniform = vector(Kind::Fresh(Univariate::Uniform { low: 0.9, high: 1.1 }), 1.0);
        assert!(is_trained_vector(&uniform, 128, None));
        assert!(!is_trained_vector(&vector(Kind::Constant(1.0), 1.0), 128, None));
    }
}
