//! ZerO initialization (Zhao et al. 2022).

use super::dirac::dirac;
use super::eye::eye;
use super::initializer::{Initializer, initializer};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Block, Distribution, Plan};
use crate::shape::element_count;

/// An initializer that writes the identity matrix. If there are more outputs than inputs, it writes a part of a scaled
/// Hadamard matrix instead. Created by [`zero_hadamard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZeroHadamard;

/// Returns an initializer of the scheme ZerO: the identity matrix, or a part of a scaled Hadamard matrix.
///
/// If there are more outputs than inputs, the weight consists of the first rows and columns of a Hadamard matrix. Every
/// value is `+-2^(-m / 2)`, where `2^m` is the number of outputs, rounded up to a power of two. Otherwise the weight is
/// the identity matrix.
///
/// The weight of a convolution has this matrix at the centre of the kernel, and 0 elsewhere. The centre is the position
/// `k / 2` (rounded down) along a kernel axis of size `k`.
///
/// The scale `2^(-m / 2)` is the scale in the authors' code. With this scale, the layer preserves the norm of its input
/// if the number of outputs is a power of two. The paper prints the scale `2^(-(m - 1) / 2)` instead. The paper also
/// sets the last layers to 0. Use the initializer `zeros` for these layers.
///
/// The shape is `[out, in, kernel...]` with two to five axes. No random numbers are used.
///
/// Source: Zhao et al. 2022, ZerO initialization, arXiv 2110.12661, algorithms 1 and 2.
///
/// Spec: `zero_hadamard`.
///
/// ```
/// # use fanin::{init, Native};
/// let mut w = [0f32; 4 * 2];
/// init::zero_hadamard().fill(&mut w, &[4, 2], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(w, [0.5, 0.5, 0.5, -0.5, 0.5, 0.5, 0.5, -0.5]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[doc(alias = "ZerO")]
pub const fn zero_hadamard() -> ZeroHadamard {
    ZeroHadamard
}

impl Initializer for ZeroHadamard {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let ([outputs, inputs, kernel @ ..], 2..=5) = (shape, shape.len()) else {
            let supported = "2 to 5";
            return Err(Error::Dimensions { scheme: "zero_hadamard", supported, shape: shape.to_vec() });
        };
        element_count(shape)?;
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

impl std::fmt::Display for ZeroHadamard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("zero_hadamard")
    }
}

initializer!(ZeroHadamard);
