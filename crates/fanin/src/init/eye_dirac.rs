//! Identities: of a matrix, and of a convolution.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// The identity matrix: made by [`eye`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eye;

/// Ones on the diagonal, zeros elsewhere: a `Linear` layer passes on as many inputs as fit.
///
/// Two axes only. Spec: `eye`. Draws nothing.
#[doc(alias = "eye_")]
#[doc(alias = "identity")]
pub const fn eye() -> Eye {
    Eye
}

/// The identity of a convolution: made by [`dirac`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirac {
    pub(super) groups: usize,
}

/// A one at the kernel's centre (`k / 2` along each axis) from channel d to channel d, zeros elsewhere: in each group
/// a convolution passes on `min(out / groups, in)` channels.
///
/// Three, four or five axes; `shape[0]` must be divisible by the number of groups, which is at least 1.
///
/// Spec: `dirac(groups=1)`. Draws nothing.
#[doc(alias = "dirac_")]
pub const fn dirac() -> Dirac {
    Dirac { groups: 1 }
}

impl Dirac {
    /// The number of groups of the convolution.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups }
    }
}

impl Initializer for Eye {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Eye)
    }
}

impl Initializer for Dirac {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Dirac { groups: self.groups })
    }
}

impl std::fmt::Display for Eye {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("eye")
    }
}

impl std::fmt::Display for Dirac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "dirac", &[("groups", unless(&self.groups, 1))])
    }
}

initializer!(Eye);
initializer!(Dirac);
