//! Computes, from a plan, the expected number of values in each bar of a histogram.

use fanin::{Distribution, Plan};
use statrs::function::beta::beta_reg;

use crate::check::Univariate;
use crate::check::reference::ReferenceDistribution;
use crate::stats::Stats;

/// Returns the expected number of finite values between each two successive edges. Returns `None` if no two edges
/// differ, or if the density of the plan's values is unknown, as for `ones`.
pub(super) fn counts(plan: &Plan, edges: &[f64], stats: &Stats) -> Option<Vec<f64>> {
    let (first, last) = (edges.first()?, edges.last()?);
    if first == last {
        return None;
    }
    let mut random = (stats.count - stats.nans - stats.infinite) as f64;
    let mut zeros = 0.0;
    let probability: Box<dyn Fn(f64, f64) -> f64> = match plan.distribution() {
        Distribution::Orthogonal { gain } if gain != 0.0 => {
            let size = plan.shape()[0].max(plan.shape()[1..].iter().product());
            let gain = gain.abs();
            Box::new(move |a, b| orthogonal_entry_cdf(b / gain, size) - orthogonal_entry_cdf(a / gain, size))
        }
        distribution => {
            if let Distribution::Sparse { zeros: in_column, .. } = distribution {
                zeros = (in_column * plan.shape()[1]) as f64;
                random -= zeros;
            }
            let univariate = Univariate::of(plan)?;
            Box::new(move |a, b| univariate.probability(a, b))
        }
    };
    let mut counts: Vec<f64> = edges.windows(2).map(|edge| random * probability(edge[0], edge[1])).collect();
    if let Some(bar) = edges.windows(2).position(|edge| edge[0] <= 0.0 && 0.0 < edge[1]) {
        counts[bar] += zeros;
    }
    Some(counts)
}

/// Returns the relative standard error of the std of `count` values. Returns `None` if `count` or the std of
/// `reference` is too small for a test.
pub(super) fn std_error(reference: &ReferenceDistribution, count: u64) -> Option<f64> {
    let usable = reference.is_testable() && reference.has_normal_sums(count);
    usable.then(|| ((reference.moments.kurtosis - 1.0) / (4.0 * count as f64)).sqrt())
}

/// Returns P(X < x) for an entry X of a Haar-distributed orthogonal matrix with the longer side `size`. X^2 has the
/// distribution Beta(1/2, (size - 1)/2).
fn orthogonal_entry_cdf(x: f64, size: usize) -> f64 {
    if size < 2 || x.abs() >= 1.0 {
        return if x <= -1.0 {
            0.0
        } else if x >= 1.0 {
            1.0
        } else {
            0.5
        };
    }
    let inside = beta_reg(0.5, (size - 1) as f64 / 2.0, x * x);
    0.5 + 0.5 * inside.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin::init::Init;
    use fanin::{DType, Initializer as _};

    fn counted(spec: &str, shape: &[usize], values: &[f64], edges: &[f64]) -> Option<Vec<f64>> {
        let mut stats = Stats::default();
        stats.add(values);
        counts(&Init::parse(spec).unwrap().resolve(shape, DType::F32).unwrap(), edges, &stats)
    }

    #[test]
    fn expected_counts_agree_with_numbers_computed_by_hand() {
        let near = |found: Vec<f64>, right: &[f64]| {
            assert!(found.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} {right:?}");
        };
        // A normal value is in [0, 1] with the probability Phi(1) - Phi(0) = 0.341345. A quarter of the uniform values
        // is in the first bar. NaN and infinities are not counted.
        let hundred = [0.5; 100];
        near(counted("normal", &[100], &hundred, &[0.0, 1.0, 9.0]).unwrap(), &[34.1345, 15.8655]);
        near(counted("uniform(a=-2, b=2)", &[100], &hundred, &[-2.0, -1.0, 2.0]).unwrap(), &[25.0, 75.0]);
        let non_finite = [0.5, f64::NAN, f64::INFINITY, 0.1];
        near(counted("uniform(a=0, b=1)", &[4], &non_finite, &[0.0, 0.5, 1.0]).unwrap(), &[1.0, 1.0]);
        // Each of the 2 columns has 2 zeros and 2 random values. A random value is negative or positive with equal
        // probability.
        near(counted("sparse(sparsity=0.5)", &[4, 2], &[0.0; 8], &[-1.0, 0.0, 1.0]).unwrap(), &[2.0, 6.0]);
        // An entry of a random orthogonal 3 x 3 matrix is uniform on [-1, 1] (Archimedes). Multiplied by the gain 2,
        // the entry is uniform on [-2, 2].
        near(counted("orthogonal(gain=2)", &[3, 3], &[0.5; 9], &[-2.0, -1.0, 2.0]).unwrap(), &[2.25, 6.75]);
        // An entry of a random orthogonal 2 x 2 matrix is cos(t) for a uniform angle t. The probability of cos(t) < 1/2
        // is 1 - arccos(1/2)/pi = 2/3.
        near(counted("orthogonal", &[2, 2], &[0.5; 4], &[-1.0, 0.5, 1.0]).unwrap(), &[8.0 / 3.0, 4.0 / 3.0]);
        assert_eq!(counted("ones", &[4], &[1.0; 4], &[0.0, 1.0]), None);
        assert_eq!(counted("normal", &[4], &[1.0; 4], &[1.0, 1.0]), None);
        assert_eq!(counted("normal", &[0], &[], &[]), None);
    }
}
