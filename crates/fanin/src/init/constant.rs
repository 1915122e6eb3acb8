//! One value everywhere.

use super::initializer::{Initializer, initializer, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// One value everywhere: made by [`constant`], [`zeros`] or [`ones`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    pub(super) val: f64,
}

/// `val` everywhere, rounded to the element type. A finite `val` must be finite in that type.
///
/// Spec: `constant(val)`. Draws nothing.
#[doc(alias = "constant_")]
pub const fn constant(val: f64) -> Constant {
    Constant { val }
}

/// 0 everywhere. Spec: `zeros`. Draws nothing.
#[doc(alias = "zeros_")]
pub const fn zeros() -> Constant {
    constant(0.0)
}

/// 1 everywhere. Spec: `ones`. Draws nothing.
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
