//! IDInit's identity-preserving matrix (Pan et al. 2025).

use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan};

/// An initializer that writes an identity matrix, repeated if there are more rows than columns. Created by [`idinit`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdInit {
    tau: f64,
}

/// Returns an initializer that writes the identity-preserving matrix of IDInit. Source: Pan et al. 2025, IDInit, arXiv
/// 2503.04626, equation 3.
///
/// The element in row `i` and column `j` is `tau` if `j = i mod in`, where `in` is the number of columns. All other
/// elements are 0. If there are more outputs than inputs, the identity matrix is repeated, because an output with only
/// zero weights would not learn. If there are more inputs than outputs, the last inputs are not used.
///
/// Three parts of the paper are not implemented: the added noise, the variant for convolutions, and the zero-preserving
/// matrix for the end of a residual branch.
///
/// The shape is `[out, in]`. `tau` is 1 by default ([`IdInit::tau`]). No random numbers are used.
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
    /// Sets the value on the diagonals: a finite number.
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
