//! The truncated normal distribution of torch. Its bounds are absolute, not multiples of the standard deviation.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation};

/// An initializer of N(mean, std^2) truncated to the interval from `a` to `b`. Created by [`trunc_normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruncNormal {
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) a: f64,
    pub(super) b: f64,
    pub(super) method: Option<Truncation>,
}

/// Returns an initializer of N(mean, std^2) truncated to \[a, b].
///
/// The mean `mean` (mu) must be finite. The standard deviation `std` (sigma) must be finite and greater than 0. Both
/// describe the distribution before the truncation. The bounds are -2 and 2 by default ([`TruncNormal::bounds`]).
///
/// The bounds are **absolute**, as in torch. With `std = 0.02`, for example, the default bounds -2 and 2 are at 100
/// sigma and have no effect.
///
/// The lower bound may be -infinity, and the upper bound may be infinity. Such a bound is an error only if two
/// conditions hold: the algorithm is rejection (only on the torch stream), and a value of N(mean, std^2) is between the
/// bounds with a probability of 0.3 or less. Rejection then draws uniform proposals between the bounds.
///
/// The truncation reduces the standard deviation of the values. With bounds at +-2 sigma, for example, the values have
/// the standard deviation `0.8796 * std`. [`Plan::std`] returns the standard deviation after the truncation.
///
/// Spec: `trunc_normal(mean=0, std=1, a=-2, b=2)`. The optional argument `method=rejection` or `method=inverse_cdf`
/// selects the algorithm ([`Truncation`]).
///
/// ```
/// # use fanin::{init, Native};
/// let mut x = [0f32; 100];
/// let plan =
///     init::trunc_normal(0.0, 0.02).bounds(-0.04, 0.04).fill(&mut x, &[100], &mut Native::new(1).tensor("x"))?;
/// assert!(x.iter().all(|x| x.abs() <= 0.04));
/// assert!((plan.std() - 0.02 * 0.879_625_661).abs() < 1e-10);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "trunc_normal_")]
pub const fn trunc_normal(mean: f64, std: f64) -> TruncNormal {
    TruncNormal { mean, std, a: -2.0, b: 2.0, method: None }
}

impl TruncNormal {
    /// Sets the lower bound `a` and the upper bound `b` of the values. The bounds are absolute, and not multiples of
    /// `std`. If `a > b`, [`TruncNormal::resolve`] and all fills return an error.
    #[must_use]
    pub const fn bounds(self, a: f64, b: f64) -> Self {
        Self { a, b, ..self }
    }

    /// Sets the algorithm that generates the values. The default on the torch stream is [`Truncation::Rejection`].
    /// torch has used this algorithm since version 2.12. The default on all other streams is
    /// [`Truncation::InverseCdf`]. Only the torch stream implements rejection.
    #[must_use]
    pub const fn method(self, method: Truncation) -> Self {
        Self { method: Some(method), ..self }
    }
}

impl Initializer for TruncNormal {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let Self { mean, std, a: low, b: high, method } = *self;
        Plan::new(shape, dtype, Distribution::TruncatedNormal { mean, std, low, high, method })
    }
}

impl std::fmt::Display for TruncNormal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let method = self.method.map(Truncation::name);
        write_spec(
            f,
            "trunc_normal",
            &[
                ("mean", unless(&self.mean, 0.0)),
                ("std", unless(&self.std, 1.0)),
                ("a", unless(&self.a, -2.0)),
                ("b", unless(&self.b, 2.0)),
                ("method", method.as_ref().map(|name| name as &dyn std::fmt::Display)),
            ],
        )
    }
}

initializer!(TruncNormal);
