//! Initializers that set every element to the same value.

use super::initializer::{Initializer, initializer, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer that sets every element to the same value. Created by [`constant`], [`zeros`] and [`ones`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    pub(super) val: f64,
}

/// Returns an initializer that sets every element to `val`, rounded to the element type. No random numbers are used.
///
/// `val` may be infinite or NaN. If `val` is finite, it must also be finite in the element type.
///
/// Spec: `constant(val)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut bias = [0f32; 4];
/// init::constant(0.5).fill(&mut bias, &[4], &mut Native::new(0).tensor("fc.bias"))?;
/// assert_eq!(bias, [0.5; 4]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "constant_")]
pub const fn constant(val: f64) -> Constant {
    Constant { val }
}

/// Returns an initializer that sets every element to 0.
///
/// Spec: `zeros`.
#[doc(alias = "zeros_")]
pub const fn zeros() -> Constant {
    constant(0.0)
}

/// Returns an initializer that sets every element to 1.
///
/// Spec: `ones`.
#[doc(alias = "ones_")]
pub const fn ones() -> Constant {
    constant(1.0)
}

impl Initializer for Constant {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Constant { value: self.val })
    }
}

impl std::fmt::Display for Constant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.val {
            0.0 if self.val.is_sign_positive() => f.write_str("zeros"),
            1.0 => f.write_str("ones"),
            _ => write_spec(f, "constant", &[("val", Some(&self.val))]),
        }
    }
}

initializer!(Constant);
