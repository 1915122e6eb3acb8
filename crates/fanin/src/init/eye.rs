//! The identity matrix.

use super::initializer::{Initializer, initializer};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer that writes the identity matrix. Created by [`eye`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eye;

/// Returns an initializer that writes the identity matrix: 1 on the diagonal, 0 elsewhere. A linear layer with this
/// weight copies its first `min(out, in)` inputs to its outputs.
///
/// The shape must have two axes. No random numbers are used.
///
/// Spec: `eye`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut w = [0f32; 6];
/// init::eye().fill(&mut w, &[2, 3], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(w, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "eye_")]
#[doc(alias = "identity")]
pub const fn eye() -> Eye {
    Eye
}

impl Initializer for Eye {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Eye)
    }
}

impl std::fmt::Display for Eye {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("eye")
    }
}

initializer!(Eye);
