//! The normal distribution.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer of the normal distribution N(mean, std^2). Created by [`normal`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    pub(super) mean: f64,
    pub(super) std: f64,
}

/// Returns an initializer of the normal distribution N(mean, std^2).
///
/// The mean `mean` (mu) must be finite. The standard deviation `std` (sigma) must be finite and not negative.
///
/// Spec: `normal(mean=0, std=1)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut x = [0f32; 100];
/// init::normal(0.0, 0.02).fill(&mut x, &[10, 10], &mut Native::new(1).tensor("x"))?;
/// assert!(x.iter().all(|x| x.abs() < 0.02 * 6.8));
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "normal_")]
pub const fn normal(mean: f64, std: f64) -> Normal {
    Normal { mean, std }
}

impl Initializer for Normal {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Normal { mean: self.mean, std: self.std })
    }
}

impl std::fmt::Display for Normal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "normal", &[("mean", unless(&self.mean, 0.0)), ("std", unless(&self.std, 1.0))])
    }
}

initializer!(Normal);
