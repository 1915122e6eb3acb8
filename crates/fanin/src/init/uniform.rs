//! The uniform distribution.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer of the uniform distribution U[a, b). Created by [`uniform`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniform {
    pub(super) a: f64,
    pub(super) b: f64,
}

/// Returns an initializer of the uniform distribution U[a, b), which includes `a` and excludes `b`.
///
/// `a` must not be greater than `b`. `a`, `b` and `b - a` must be finite in the element type. If `a` equals `b`, every
/// value is `a`.
///
/// If `a` is less than `b`, the native stream never generates the value `b` in f32 and f64. Values of narrower types
/// are f32 values that are rounded to nearest, so `b` can occur. For example, 1 in 1024 bf16 values of
/// `uniform(-0.5, 0.5)` is 0.5.
///
/// Spec: `uniform(a=0, b=1)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut x = [0f64; 100];
/// init::uniform(-0.1, 0.1).fill(&mut x, &[100], &mut Native::new(1).tensor("x"))?;
/// assert!(x.iter().all(|x| (-0.1..0.1).contains(x)));
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "uniform_")]
pub const fn uniform(a: f64, b: f64) -> Uniform {
    Uniform { a, b }
}

impl Initializer for Uniform {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Uniform { low: self.a, high: self.b })
    }
}

impl std::fmt::Display for Uniform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "uniform", &[("a", unless(&self.a, 0.0)), ("b", unless(&self.b, 1.0))])
    }
}

initializer!(Uniform);
