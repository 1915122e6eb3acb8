//! Plans of tensors whose values are functions of the values of another plan, such as `exp(uniform(0, 1))`.

use super::distribution::Distribution;
use super::functions::{Function, Functions};
use super::types::Plan;
use super::validate::{collapse_at, underflow_of};
use crate::dtype::DType;
use crate::error::Error;

impl Plan {
    /// Returns the plan that applies `functions` to each value of `argument` and rounds the result to `dtype`. The
    /// element type of `argument` must be f64.
    ///
    /// # Errors
    /// * `Argument` if a function is not defined for a possible value of `argument`, or a result is not finite in
    ///   `dtype`.
    /// * `Mapped` if the values of `argument` are not constant, uniform, normal, truncated normal or a sequence
    ///   (`arange`).
    pub(crate) fn mapped(functions: Functions, argument: Plan, dtype: DType) -> Result<Self, Error> {
        let (mut low, mut high) = argument.bounds();
        let outermost = functions.iter().next_back().map_or("function", Function::name);
        if !matches!(
            argument.distribution,
            Distribution::Constant { .. }
                | Distribution::Uniform { .. }
                | Distribution::Normal { .. }
                | Distribution::TruncatedNormal { .. }
                | Distribution::Arange { .. }
        ) {
            return Err(Error::Mapped { function: outermost });
        }
        for function in functions.iter().filter(|_| !argument.is_empty()) {
            if !function.is_defined_for(low) {
                let requirement = "must be greater than 0".to_owned();
                let (scheme, argument) = (function.name(), "the smallest value of its argument");
                return Err(Error::Argument { scheme, argument, value: low, requirement });
            }
            (low, high) = (function.apply(low), function.apply(high));
        }
        // A normal distribution is unbounded, so the values at `mean - 6 * std` and `mean + 6 * std` are checked. The
        // probability of a value outside this interval is about 2e-9.
        let (least, greatest) = argument.bounds();
        if let Distribution::Normal { mean, std } | Distribution::TruncatedNormal { mean, std, .. } =
            argument.distribution
        {
            low = functions.apply(least.max((mean - 6.0 * std).min(greatest)));
            high = functions.apply(greatest.min((mean + 6.0 * std).max(least)));
        }
        if !argument.is_empty() && [low, high].iter().any(|x| x.is_nan() || x.abs() > dtype.largest()) {
            let requirement = format!("must be finite in {dtype} (largest value {})", dtype.largest());
            let value = if high.abs() > low.abs() { high } else { low };
            return Err(Error::Argument {
                scheme: outermost,
                argument: "its largest value",
                value,
                requirement,
            });
        }
        let mut warnings = argument.warnings.clone();
        if !argument.is_empty() {
            let largest = if high.abs() > low.abs() { high } else { low };
            warnings.extend(underflow_of(largest, dtype).or_else(|| {
                // The standard deviation of the results is estimated as half the difference of the results at
                // `mean + std` and `mean - std`. For a sequence (`arange`), `std` is 0, so `collapse_at` returns no
                // warning.
                let is_sequence = matches!(argument.distribution, Distribution::Arange { .. });
                let (mean, std) = if is_sequence { (low, 0.0) } else { (argument.mean(), argument.std()) };
                let near = |x: f64| functions.apply(x.clamp(least, greatest));
                collapse_at(near(mean), near(mean + std) / 2.0 - near(mean - std) / 2.0, dtype)
            }));
        }
        Ok(Self {
            shape: argument.shape.clone(),
            dtype,
            distribution: Distribution::Mapped { functions },
            distribution_on_torch: None,
            fans: argument.fans,
            warnings,
            blocks: Vec::new(),
            argument: Some(Box::new(argument)),
        })
    }

    /// Returns the inner plan of [`Distribution::Mapped`], such as `uniform(0, 1)` in `exp(uniform(0, 1))`. The
    /// functions of [`Distribution::Mapped`] are applied to the values of the inner plan. The element type of the inner
    /// plan is f64. Returns `None` for every other distribution.
    pub fn argument(&self) -> Option<&Plan> {
        self.argument.as_deref()
    }

    /// Returns the mean and the standard deviation of the values of [`Distribution::Mapped`].
    pub(super) fn moments_of_mapped(&self) -> (f64, f64) {
        let (Distribution::Mapped { functions }, Some(argument)) = (self.distribution, self.argument())
        else {
            return (f64::NAN, f64::NAN);
        };
        match argument.distribution {
            Distribution::Constant { value } => (functions.apply(value), 0.0),
            Distribution::Arange { start, step } => {
                moments_of_sequence(argument, |index| functions.apply(start + step * index as f64))
            }
            distribution => {
                let (low, high) = argument.bounds();
                // For `exp`, the integrand of the second moment is `density(x) * exp(2 x)`. The maximum of this
                // integrand is at `mean + 2 * std^2`, so the upper limit of the integral is 12 standard deviations
                // above this point.
                let (mean, std) = match distribution {
                    Distribution::Normal { mean, std } | Distribution::TruncatedNormal { mean, std, .. } => {
                        (mean, std)
                    }
                    _ => (0.0, f64::INFINITY),
                };
                let low = low.max(mean - 12.0 * std);
                let high = high.min(mean + 12.0 * std + 2.0 * std * std);
                let density = |x: f64| match distribution {
                    Distribution::Uniform { .. } => 1.0,
                    _ => libm::exp(-square((x - mean) / std) / 2.0),
                };
                moments_of_density(low, high, density, |x| functions.apply(x))
            }
        }
    }
}

fn square(x: f64) -> f64 {
    x * x
}

/// Returns the mean and the standard deviation of `value(index)` over all indices of the last axis. Returns `(0, 0)` if
/// this axis is empty.
pub(super) fn moments_of_sequence(plan: &Plan, value: impl Fn(usize) -> f64) -> (f64, f64) {
    let length = plan.shape.last().copied().unwrap_or(1);
    let count = length.max(1) as f64;
    let mean = (0..length).map(&value).sum::<f64>() / count;
    let variance = (0..length).map(|index| square(value(index) - mean)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Returns the mean and the standard deviation of `f(X)`, computed by Simpson's rule. The density of X is proportional
/// to `density` on `[low, high]`.
fn moments_of_density(
    low: f64,
    high: f64,
    density: impl Fn(f64) -> f64,
    f: impl Fn(f64) -> f64,
) -> (f64, f64) {
    const INTERVALS: usize = 1 << 13;
    if low == high {
        return (f(low), 0.0);
    }
    let sum = |g: &dyn Fn(f64) -> f64| -> f64 {
        let term = |k: usize| {
            let weight = if k == 0 || k == INTERVALS { 1.0 } else { 2.0 * (1 + k % 2) as f64 };
            let x = low + (high - low) * (k as f64 / INTERVALS as f64);
            weight * density(x) * g(x)
        };
        (0..=INTERVALS).map(term).sum()
    };
    let mass = sum(&|_| 1.0);
    let mean = sum(&f) / mass;
    let variance = sum(&|x| square(f(x) - mean)) / mass;
    (mean, variance.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_mapped_values_agree_with_closed_forms() {
        let of = |functions: &[Function], distribution| {
            let argument = Plan::new(&[10], DType::F64, distribution).unwrap();
            let plan = Plan::mapped(Functions::new(functions).unwrap(), argument, DType::F64).unwrap();
            (plan.mean(), plan.std())
        };
        // The mean of the log-uniform distribution on [a, b] is (b - a) / ln(b / a).
        let (a, b) = (0.001f64, 0.1f64);
        let (mean, std) = of(&[Function::Exp], Distribution::Uniform { low: a.ln(), high: b.ln() });
        assert!((mean / ((b - a) / (b / a).ln()) - 1.0).abs() < 1e-9, "{mean}");
        let square = (b * b - a * a) / (2.0 * (b / a).ln());
        assert!((std / (square - mean * mean).sqrt() - 1.0).abs() < 1e-9, "{std}");
        // The mean of the lognormal distribution is exp(mu + sigma^2 / 2).
        let (mean, std) = of(&[Function::Exp], Distribution::Normal { mean: 0.5, std: 0.8 });
        let expected = (0.5f64 + 0.32).exp();
        assert!((mean / expected - 1.0).abs() < 1e-6, "{mean}");
        assert!((std / (expected * (0.64f64.exp() - 1.0).sqrt()) - 1.0).abs() < 1e-5, "{std}");
        let (mean, _) = of(&[Function::Log], Distribution::Arange { start: 1.0, step: 1.0 });
        assert!((mean - (1..=10).map(|n| f64::from(n).ln()).sum::<f64>() / 10.0).abs() < 1e-14);
    }
}
