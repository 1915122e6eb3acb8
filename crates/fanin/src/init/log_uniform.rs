//! The log-uniform distribution.

use super::initializer::{Initializer, initializer, positive, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Function, Functions, Plan};

/// An initializer of the log-uniform distribution, in which the logarithms of the values are uniform. Created by
/// [`log_uniform`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogUniform {
    a: f64,
    b: f64,
}

/// Returns an initializer of `exp(x)`, where x is uniform in [log a, log b).
///
/// `a` and `b` must be finite and greater than 0. `a` must not be greater than `b`. State space models draw their time
/// steps from this distribution.
///
/// Only the native stream supports this distribution.
///
/// Spec: `log_uniform(a, b)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut dt = [0f32; 1000];
/// init::log_uniform(0.001, 0.1).fill(&mut dt, &[1000], &mut Native::new(0).tensor("dt"))?;
/// let below = dt.iter().filter(|dt| **dt < 0.01).count();
/// assert!((400..600).contains(&below));
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "reciprocal")]
#[doc(alias = "loguniform")]
pub const fn log_uniform(a: f64, b: f64) -> LogUniform {
    LogUniform { a, b }
}

impl Initializer for LogUniform {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let Self { a, b } = *self;
        positive("log_uniform", "a", a)?;
        positive("log_uniform", "b", b)?;
        if a > b {
            return Err(Error::Bounds { scheme: "log_uniform", a, b });
        }
        let uniform = Distribution::Uniform { low: libm::log(a), high: libm::log(b) };
        let functions = Functions::new(&[Function::Exp]).expect("one function is within the limit");
        Plan::mapped(functions, Plan::new(shape, DType::F64, uniform)?, dtype)
    }
}

impl std::fmt::Display for LogUniform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "log_uniform", &[("a", Some(&self.a)), ("b", Some(&self.b))])
    }
}

initializer!(LogUniform);
