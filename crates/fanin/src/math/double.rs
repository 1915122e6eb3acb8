//! Logarithm, sine and cosine in f64. The algorithms are the kernels of Sun's fdlibm (e_log.c, k_sin.c, k_cos.c).
//! Operations that are written as `mul_add` are fused multiply-adds.

use std::f64::consts::SQRT_2;

use super::angle::{Angle, polar_of_ln};
use super::polynomial::horner;
use crate::simd::{SimdBits, SimdF64};

/// The coefficients of the logarithm's polynomial in `z = s^2`, highest first, where `s = fraction / (2 + fraction)`.
const LN: [f64; 7] = [
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
];

/// The coefficients of the sine's polynomial in x^2, highest first.
const SIN: [f64; 6] = [
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
];

/// The coefficients of the cosine's polynomial in x^2, highest first.
const COS: [f64; 6] = [
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
];

/// Splits `x` into an exponent and a fraction.
///
/// The result satisfies `x = (1 + fraction) * 2^exponent`, and `1 + fraction` is in [sqrt(1/2), sqrt(2)). `x` must be
/// positive, and must not be subnormal.
#[inline(always)]
fn exponent_and_fraction64<D: SimdF64>(x: D) -> (D, D) {
    /// The bits of sqrt(1/2), the least value of `1 + fraction`.
    const FIRST: u64 = (SQRT_2 / 2.0).to_bits();
    /// The number that is added to the exponent so that `offset` is not negative, and is subtracted again below.
    const BIAS: u64 = 1024;
    let word = D::Bits::splat;
    let offset = x.to_bits().add(word((BIAS << 52) - FIRST));
    let exponent = offset.shr(52).sub(word(BIAS)).convert_signed();
    let mantissa = offset.and(word((1 << 52) - 1)).add(word(FIRST)).bitcast();
    (exponent, mantissa.sub(D::splat(1.0)))
}

/// Returns `ln((1 + f) * 2^exponent)`. `s` is `f / (2 + f)`, `z` is s^2, and `series` is the value of the polynomial
/// [`LN`] at z.
#[inline(always)]
fn ln_of_series64<D: SimdF64>(exponent: D, f: D, s: D, z: D, series: D) -> D {
    let half_square = D::splat(0.5).mul(f).mul(f);
    let low = s.mul_add(z.mul_add(series, half_square), exponent.mul(D::splat(1.90821492927058770002e-10)));
    exponent.mul_add(D::splat(6.93147180369123816490e-01), f.sub(half_square.sub(low)))
}

/// Returns `ln((1 + f) * 2^exponent)`.
#[inline(always)]
fn ln_of_fraction64<D: SimdF64>((exponent, f): (D, D)) -> D {
    let s = f.div(D::splat(2.0).add(f));
    let z = s.mul(s).barrier();
    ln_of_series64(exponent, f, s, z, horner(z, LN))
}

/// Returns `ln x` with an error of at most 1 unit in the last place. `x` must be positive, and must not be subnormal.
#[inline(always)]
pub(super) fn ln64<D: SimdF64>(x: D) -> D {
    ln_of_fraction64(exponent_and_fraction64(x))
}

/// Returns `ln(1 + x)` for `x >= -1/2`. The result has full relative precision, even near 0.
#[inline(always)]
pub(crate) fn ln_1p64(x: f64) -> f64 {
    let sum = 1.0 + x;
    // The second term corrects the rounding error of `sum`, to first order.
    ln64(sum) + (x - (sum - 1.0)) / sum
}

/// Returns `-ln(1 - x)` for `x` in (0, 1). `complement` is `1 - x`. Both arguments must have full relative precision.
#[inline(always)]
pub(crate) fn minus_ln_complement64(x: f64, complement: f64) -> f64 {
    let (exponent, fraction) = exponent_and_fraction64(complement);
    // If the exponent is 0, the fraction `complement - 1` is replaced by -x, which has more significant bits.
    let fraction = if exponent == 0.0 && fraction <= 0.0 { -x } else { fraction };
    -ln_of_fraction64((exponent, fraction))
}

/// Returns `ln x`, and the sine and cosine of `remainder`. `x` must be positive, and must not be subnormal. `remainder`
/// is an angle in radians in [-pi/4, pi/4].
///
/// The steps of the polynomials are interleaved to hide the latency of the fused multiply-adds.
#[inline(always)]
pub(super) fn ln_sin_cos64<D: SimdF64>(x: D, remainder: D) -> (D, D, D) {
    let splat = D::splat;
    let square = remainder.mul(remainder);
    let (exponent, f) = exponent_and_fraction64(x);
    let s = f.div(splat(2.0).add(f));
    // The sine takes about as long as the division above. The CPU computes both at the same time.
    let sin = horner(square, SIN).mul(square).mul_add(remainder, remainder);
    let z = s.mul(s);
    let (mut ln, mut cos) = (splat(LN[0]), splat(COS[0]));
    for k in 1..COS.len() {
        (ln, cos) = ln.mul_add(z, splat(LN[k])).barrier_with(cos.mul_add(square, splat(COS[k])));
    }
    let ln = ln.mul_add(z, splat(LN[COS.len()]));
    let (half, one) = (splat(0.5).mul(square), splat(1.0));
    let whole = one.sub(half);
    let cos = whole.add(cos.mul(square).mul_add(square, one.sub(whole).sub(half)));
    (ln_of_series64(exponent, f, s, z, ln), sin, cos)
}

/// Returns `(r cos t, r sin t)`. t is `angle`, and r is `sqrt(-2 ln u)`. `u` must be in (0, 1).
#[inline(always)]
pub(crate) fn polar64<D: SimdF64>(u: D, angle: Angle<D>) -> (D, D) {
    let (ln, sin, cos) = ln_sin_cos64(u, angle.remainder);
    polar_of_ln(ln, angle.quadrant, sin, cos)
}
