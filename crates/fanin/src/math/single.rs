//! Logarithm, sine and cosine in f32.
//!
//! The polynomials are taken from Moshier's Cephes library (logf.c, sinf.c). The order of operations is taken from
//! sse_mathfun and avx_mathfun, which torch uses. As in torch's AVX2 build, each multiplication that is followed by an
//! addition is computed as one fused multiply-add.

use std::f32::consts::FRAC_1_SQRT_2;

use super::angle::{Angle, polar_of_ln};
use super::polynomial::horner;
use crate::simd::{SimdBits, SimdF32, SimdF32Bits};

/// The coefficients, highest first, of the polynomial P in `ln(1 + x) = x - x^2 / 2 + x^3 P(x)`.
pub(super) const LN: [f32; 9] = [
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
];

/// The coefficients of the sine's polynomial in x^2, highest first.
pub(super) const SIN: [f32; 3] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];

/// The coefficients of the cosine's polynomial in x^2, highest first.
pub(super) const COS: [f32; 3] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

/// Splits `2^POWER * x` into an exponent and a fraction.
///
/// The result satisfies `2^POWER * x = (1 + fraction) * 2^exponent`, and `1 + fraction` is in [sqrt(1/2), sqrt(2)). `x`
/// and `2^POWER * x` must be positive, and must not be subnormal. The scaling by 2^POWER takes no additional
/// instruction.
#[inline(always)]
fn exponent_and_fraction<F: SimdF32, const POWER: i32>(x: F) -> (F, F) {
    /// The bits of the float sqrt(1/2), which is the least value of `1 + fraction`.
    const FIRST: u32 = FRAC_1_SQRT_2.to_bits();
    let word = F::Bits::splat;
    let offset = x.to_bits().sub(word(FIRST.wrapping_sub((POWER << 23).cast_unsigned())));
    let mantissa = offset.and(word(0x007f_ffff)).add(word(FIRST)).bitcast();
    (offset.shr_signed(23).convert_signed(), mantissa.sub(F::splat(1.0)))
}

/// Returns `ln((1 + x) * 2^exponent)`. `square` is x^2, and `series` is the value of the polynomial [`LN`] at x.
#[inline(always)]
fn ln_of_series<F: SimdF32>(exponent: F, x: F, square: F, series: F) -> F {
    // The constants 0.693359375 and -2.12194440e-4 add up to ln 2. The first has few bits, so its product with the
    // exponent is exact.
    let low = series.mul(x).mul_add(square, exponent.mul(F::splat(-2.12194440e-4)));
    let low = square.mul_add(F::splat(-0.5), low);
    exponent.mul_add(F::splat(0.693359375), x.add(low))
}

/// Returns `ln(2^POWER * x)` with an error of at most 1 unit in the last place. `x` and `2^POWER * x` must be positive,
/// and must not be subnormal.
#[inline(always)]
pub(super) fn ln_scaled<F: SimdF32, const POWER: i32>(x: F) -> F {
    let (exponent, x) = exponent_and_fraction::<F, POWER>(x);
    ln_of_series(exponent, x, x.mul(x), horner(x, LN))
}

/// Returns `ln x` with an error of at most 1 unit in the last place. `x` must be positive, and must not be subnormal.
#[inline(always)]
pub(crate) fn ln<F: SimdF32>(x: F) -> F {
    ln_scaled::<F, 0>(x)
}

/// Returns `ln(2^POWER * x)`, and the sine and cosine of `remainder` (see [`Angle`]).
///
/// The steps of the polynomials are interleaved to hide the latency of the fused multiply-adds.
#[inline(always)]
pub(super) fn ln_sin_cos<F: SimdF32, const POWER: i32>(x: F, remainder: F) -> (F, F, F) {
    let splat = F::splat;
    let (exponent, x) = exponent_and_fraction::<F, POWER>(x);
    let square = remainder.mul(remainder);
    let (ln, sin) =
        splat(LN[0]).mul_add(x, splat(LN[1])).barrier_with(splat(SIN[0]).mul_add(square, splat(SIN[1])));
    let (ln, sin) = ln.mul_add(x, splat(LN[2])).barrier_with(sin.mul_add(square, splat(SIN[2])));
    let (ln, sin) = ln.mul_add(x, splat(LN[3])).barrier_with(sin.mul(square));
    let (ln, sin) = ln.mul_add(x, splat(LN[4])).barrier_with(sin.mul_add(remainder, remainder));
    let (ln, cos) = ln.mul_add(x, splat(LN[5])).barrier_with(splat(COS[0]).mul_add(square, splat(COS[1])));
    let (ln, cos) = ln.mul_add(x, splat(LN[6])).barrier_with(cos.mul_add(square, splat(COS[2])));
    let (ln, cos) = ln.mul_add(x, splat(LN[7])).barrier_with(cos.mul(square));
    let (ln, cos) = ln.mul_add(x, splat(LN[8])).barrier_with(cos.mul_add(square, square.mul(splat(-0.5))));
    (ln_of_series(exponent, x, x.mul(x), ln), sin, cos.add(splat(1.0)))
}

/// Returns `(r cos t, r sin t)`. t is `angle`, r is `sqrt(-2 ln u)`, and u is `2^POWER * x`. u must be in (0, 1].
#[inline(always)]
pub(crate) fn polar<F: SimdF32, const POWER: i32>(x: F, angle: Angle<F>) -> (F, F) {
    let (ln, sin, cos) = ln_sin_cos::<F, POWER>(x, angle.remainder);
    polar_of_ln(ln, angle.quadrant, sin, cos)
}
