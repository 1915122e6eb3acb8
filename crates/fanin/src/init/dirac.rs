//! Dirac initialization: a convolution whose output channels are copies of its input channels.

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer of a convolution whose output channels are copies of its input channels. Created by [`dirac`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirac {
    pub(super) groups: usize,
}

/// Returns an initializer that writes the Dirac delta function. A convolution with this weight copies its input
/// channels to its output channels.
///
/// In each group, the weight from input channel d to output channel d is 1 at the centre of the kernel. The centre is
/// the position `k / 2` (rounded down) along a kernel axis of size `k`. All other elements are 0. The convolution
/// copies the first `min(out / groups, in)` input channels of each group.
///
/// The shape is `[out, in, kernel...]` with three to five axes. `out` must be divisible by the number of groups. No
/// random numbers are used.
///
/// Spec: `dirac(groups=1)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut w = [0f32; 2 * 2 * 3];
/// init::dirac().fill(&mut w, &[2, 2, 3], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(w, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "dirac_")]
pub const fn dirac() -> Dirac {
    Dirac { groups: 1 }
}

impl Dirac {
    /// Sets the number of groups of the convolution, which must be at least 1 (default: 1).
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups }
    }
}

impl Initializer for Dirac {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::Dirac { groups: self.groups })
    }
}

impl std::fmt::Display for Dirac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "dirac", &[("groups", unless(&self.groups, 1))])
    }
}

initializer!(Dirac);
