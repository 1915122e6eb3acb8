//! Polynomials, evaluated by Horner's rule. Every step is one fused multiply-add.

use crate::simd::SimdFloat;

/// Returns the value at `x` of the polynomial with the given coefficients, in descending order of powers.
#[inline(always)]
pub(super) fn horner<F: SimdFloat, const N: usize>(x: F, coefficients: [F::Scalar; N]) -> F {
    let mut value = F::splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        value = value.mul_add(x, F::splat(*coefficient)).barrier();
    }
    value
}

/// Returns the value at `x` of the polynomial with the given coefficients, in ascending order of powers.
#[inline(always)]
pub(super) fn horner_lowest_first<F: SimdFloat, const N: usize>(x: F, coefficients: &[F::Scalar; N]) -> F {
    let mut value = F::splat(coefficients[N - 1]);
    for k in (0..N - 1).rev() {
        value = value.mul_add(x, F::splat(coefficients[k])).barrier();
    }
    value
}
