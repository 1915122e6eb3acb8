//! Starts without chance: ZerO and IDInit.

use super::eye_dirac::dirac;
use super::eye_dirac::eye;
use super::initializer::{Initializer, initializer, unless, write_spec};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Block, Distribution, Plan};

/// Zeros, ones and a Hadamard matrix: made by [`zero_hadamard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZeroHadamard;

/// An identity repeated down the rows: made by [`idinit`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdInit {
    tau: f64,
}

/// ZerO (Zhao et al. 2022, ZerO initialization, arXiv 2110.12661, algorithms 1 and 2): the identity where there are no more
/// outputs than inputs; else the first columns of a Hadamard matrix, every value `+-2^(-m / 2)` with 2^m the least power of
/// two that is not below the outputs. A kernel has that matrix at the tap `k / 2` of each axis.
///
/// The factor is that of the authors' code, which keeps norms exactly where the outputs are a power of two; the paper prints
/// `2^(-(m - 1) / 2)`. The paper's last layers, at zero, are the recipe's to say.
///
/// Two to five axes, `[out, in, k...]`. Draws nothing. Spec: `zero_hadamard`.
#[doc(alias = "ZerO")]
pub const fn zero_hadamard() -> ZeroHadamard {
    ZeroHadamard
}

/// IDInit's identity-preserving matrix (Pan et al. 2025, IDInit, arXiv 2503.04626, equation 3): `tau` where output and input
/// are equal modulo the number of inputs, zeros elsewhere. Outputs beyond the inputs repeat the identity, where a padding of
/// zeros would leave them dead; inputs beyond the outputs are not read.
///
/// Two axes, `[out, in]`. Of the paper's other parts neither the loosening noise, the zero-preserving matrix of a branch's
/// end nor the form of kernels is in here. Draws nothing. Spec: `idinit(tau=1)`.
pub const fn idinit() -> IdInit {
    IdInit { tau: 1.0 }
}

impl IdInit {
    /// The value on the diagonals (finite).
    #[must_use]
    pub const fn tau(self, tau: f64) -> Self {
        Self { tau }
    }
}

impl Initializer for ZeroHadamard {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let [outputs, inputs, kernel @ ..] = shape else {
            return Err(Error::Dimensions {
                scheme: "zero_hadamard",
                supported: "2 to 5",
                shape: shape.to_vec(),
            });
        };
        if kernel.len() > 3 {
            let supported = "2 to 5";
            return Err(Error::Dimensions { scheme: "zero_hadamard", supported, shape: shape.to_vec() });
        }
        crate::shape::element_count(shape)?;
        if outputs <= inputs {
            return if kernel.is_empty() {
                eye().resolve(shape, dtype)
            } else {
                dirac().resolve(shape, dtype)
            };
        }
        let power = outputs.next_power_of_two().trailing_zeros();
        let root = if power % 2 == 1 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
        let scale = root / (1u64 << (power / 2)) as f64;
        let matrix = Plan::new(&shape[..2], dtype, Distribution::Hadamard { scale })?;
        if kernel.is_empty() {
            return Ok(matrix);
        }
        let start = [0, 0].into_iter().chain(kernel.iter().map(|size| size / 2)).collect();
        Plan::of_blocks(shape, dtype, vec![Block::new(start, vec![0, 1], String::new(), matrix)])
    }
}

impl Initializer for IdInit {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        Plan::new(shape, dtype, Distribution::RepeatedEye { value: self.tau })
    }
}

impl std::fmt::Display for ZeroHadamard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zero_hadamard")
    }
}

impl std::fmt::Display for IdInit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_spec(f, "idinit", &[("tau", unless(&self.tau, 1.0))])
    }
}

initializer!(ZeroHadamard);
initializer!(IdInit);
