//! The truncated normal distribution of TensorFlow. Its bounds are multiples of the standard deviation.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::distributions::truncated::moments;
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation, finite};

/// An initializer of a normal distribution that is truncated at multiples of its standard deviation. Created by
/// [`trunc_normal_tf`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruncNormalTf {
    mean: f64,
    std: f64,
    a: f64,
    b: f64,
    corrected: bool,
    method: Option<Truncation>,
}

/// Returns an initializer of N(mean, std^2) truncated to `[mean + a * std, mean + b * std]`.
///
/// `mean` must be finite. `std` must be finite and greater than 0. timm's `trunc_normal_tf_`, TensorFlow's
/// `tf.random.truncated_normal` and JAX's `jax.nn.initializers.truncated_normal` have the same distribution.
///
/// **The bounds `a` and `b` are in units of std.** They are -2 and 2 by default ([`TruncNormalTf::bounds`]). A bound
/// may be infinite, with the same exception as in [`trunc_normal`](super::trunc_normal()). The bounds of `trunc_normal`
/// are absolute instead.
///
/// The truncation reduces the standard deviation of the values. With the bounds -2 and 2, for example, the values have
/// the standard deviation `0.8796 * std`. [`TruncNormalTf::corrected`] widens the distribution, so that the values have
/// the standard deviation `std`. JAX's variance scaling does the same.
///
/// Spec: `trunc_normal_tf(mean=0, std=1, a=-2, b=2, corrected=false)`. The optional argument `method` has the same
/// values as in `trunc_normal`. On the torch stream, `method=inverse_cdf` generates timm's values up to rounding.
///
/// ```
/// # use fanin::{init, DType};
/// let truncated = init::trunc_normal_tf(0.0, 0.02).resolve(&[768, 768], DType::F32)?;
/// assert_eq!(truncated.bounds(), (-0.04, 0.04));
/// let corrected = init::trunc_normal_tf(0.0, 0.02).corrected(true).resolve(&[768, 768], DType::F32)?;
/// assert!((corrected.std() - 0.02).abs() < 1e-15);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "trunc_normal_tf_")]
#[doc(alias = "truncated_normal")]
pub const fn trunc_normal_tf(mean: f64, std: f64) -> TruncNormalTf {
    TruncNormalTf { mean, std, a: -2.0, b: 2.0, corrected: false, method: None }
}

impl TruncNormalTf {
    /// Sets the bounds `a` and `b` in units of std (`a < b`).
    #[must_use]
    pub const fn bounds(self, a: f64, b: f64) -> Self {
        Self { a, b, ..self }
    }

    /// Sets whether the distribution and its bounds are widened so that the values have the standard deviation `std`
    /// (default: false).
    #[must_use]
    pub const fn corrected(self, corrected: bool) -> Self {
        Self { corrected, ..self }
    }

    /// Sets the algorithm that generates the values. The default on the torch stream is [`Truncation::Rejection`].
    /// torch has used this algorithm since version 2.12. The default on all other streams is
    /// [`Truncation::InverseCdf`]. Only the torch stream implements rejection.
    #[must_use]
    pub const fn method(self, method: Truncation) -> Self {
        Self { method: Some(method), ..self }
    }
}

impl Initializer for TruncNormalTf {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        const NAME: &str = "trunc_normal_tf";
        let Self { mean, std, a, b, corrected, method } = *self;
        let invalid = |argument, value, requirement: &str| {
            Err(Error::Argument { scheme: NAME, argument, value, requirement: requirement.to_owned() })
        };
        finite(NAME, "mean", mean, dtype)?;
        finite(NAME, "std", std, dtype)?;
        if std <= 0.0 {
            return invalid("std", std, "must be greater than 0");
        }
        if a.is_nan() || a == f64::INFINITY {
            return invalid("a", a, "must be a number below infinity, in units of std");
        }
        if b.is_nan() || b == f64::NEG_INFINITY {
            return invalid("b", b, "must be a number above minus infinity, in units of std");
        }
        if a >= b {
            return if a > b {
                Err(Error::Bounds { scheme: NAME, a, b })
            } else {
                invalid("b", b, "must be greater than a")
            };
        }
        let std = if corrected { std / moments(a, b).1.sqrt() } else { std };
        let (low, high) = (mean + a * std, mean + b * std);
        Plan::new(shape, dtype, Distribution::TruncatedNormal { mean, std, low, high, method })
    }
}

impl std::fmt::Display for TruncNormalTf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let method = self.method.map(Truncation::name);
        write_spec(
            f,
            "trunc_normal_tf",
            &[
                ("mean", unless(&self.mean, 0.0)),
                ("std", unless(&self.std, 1.0)),
                ("a", unless(&self.a, -2.0)),
                ("b", unless(&self.b, 2.0)),
                ("corrected", unless(&self.corrected, false)),
                ("method", method.as_ref().map(|name| name as &dyn std::fmt::Display)),
            ],
        )
    }
}

initializer!(TruncNormalTf);
