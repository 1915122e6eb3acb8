//! IDInit's identity-preserving matrix (Pan et al. 2025).

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// Initializer of an identity matrix that is repeated down the rows. [`idinit`] makes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdInit {
    tau: f64,
}

/// Makes an initializer of IDInit's identity-preserving matrix (Pan et al. 2025, IDInit, arXiv 2503.04626, equation 3).
/// An element is `tau` where the input equals the output modulo the number of inputs, and 0 elsewhere.
///
/// With more outputs than inputs the identity is repeated, because outputs that are 0 would not learn. With more inputs
/// than outputs the last inputs are not used. Three things of the paper are not implemented: the noise that it adds,
/// its zero-preserving matrix for the end of a residual branch, and its form for convolutions.
///
/// The shape is `[out, in]`; `tau` is 1 by default. No random numbers are used.
///
/// Spec: `idinit(tau=1)`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut w = [0f32; 6];
/// init::idinit().fill(&mut w, &[3, 2], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(w, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
/// # Ok::<(), fanin::Error>(())
/// ```
pub const fn idinit() -> IdInit {
    IdInit { tau: 1.0 }
}

impl IdInit {
    /// Sets the finite value on the diagonals.
    #[must_use]
    pub const fn tau(self, tau: f64) -> Self {
        Self { tau }
    }
}

impl Initializer for IdInit {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::RepeatedEye { value: self.tau })
    }
}

impl std::fmt::Display for IdInit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "idinit", &[("tau", unless(&self.tau, 1.0))])
    }
}

initializer!(IdInit);
