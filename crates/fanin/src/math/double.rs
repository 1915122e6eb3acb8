//! f64: the kernels of Sun's fdlibm (e_log.c, k_sin.c, k_cos.c), every multiplication that feeds an addition fused where
//! it is spelled so.

use std::f64::consts::{SQRT_2, TAU};

use super::{Angle, TWO_32, at_radius, horner};
use crate::simd::{Bits, Doubles};

/// Exponent and fraction of a positive, normal x: x = (1 + fraction) * 2^exponent with 1 + fraction in
/// [sqrt(1/2), sqrt 2).
#[inline(always)]
fn parts64<D: Doubles>(x: D) -> (D, D) {
    // The bits of sqrt(1/2), at which the mantissas begin, and of an exponent that keeps the difference positive.
    const FIRST: u64 = (SQRT_2 / 2.0).to_bits();
    const BIAS: u64 = 1024;
    let word = D::Bits::splat;
    let beyond = x.bits().add(word((BIAS << 52) - FIRST));
    let exponent = beyond.right(52).sub(word(BIAS)).signed();
    let mantissa = beyond.and(word((1 << 52) - 1)).add(word(FIRST)).floats();
    (exponent, mantissa.sub(D::splat(1.0)))
}

/// Coefficients of the logarithm's series in z = s^2, s = fraction / (2 + fraction), highest first.
const LN: [f64; 7] = [
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
];

/// The same for sine and cosine, in the square.
const SIN: [f64; 6] = [
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
    -1.66666666666666324348e-01,
];
const COS: [f64; 6] = [
    -1.13596475577881948265e-11,
    2.08757232129817482790e-09,
    -2.75573143513906633035e-07,
    2.48015872894767294178e-05,
    -1.38888888888741095749e-03,
    4.16666666666666019037e-02,
];

/// ln((1 + f) * 2^exponent), given s, z and the series.
#[inline(always)]
fn ln_of_series64<D: Doubles>(exponent: D, f: D, s: D, z: D, series: D) -> D {
    let half_square = D::splat(0.5).times(f).times(f);
    let low = s.fused(z.fused(series, half_square), exponent.times(D::splat(1.90821492927058770002e-10)));
    exponent.fused(D::splat(6.93147180369123816490e-01), f.sub(half_square.sub(low)))
}

/// ln((1 + fraction) * 2^exponent).
#[inline(always)]
fn ln_of_parts64<D: Doubles>((exponent, f): (D, D)) -> D {
    let s = f.over(D::splat(2.0).add(f));
    let z = s.times(s).abreast();
    ln_of_series64(exponent, f, s, z, horner(z, LN))
}

/// ln x for a positive, normal x: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln64<D: Doubles>(x: D) -> D {
    ln_of_parts64(parts64(x))
}

/// ln(1 + x) for x >= -1/2, with full relative precision near 0.
#[inline(always)]
pub(crate) fn ln_1p64(x: f64) -> f64 {
    let sum = 1.0 + x;
    // What the rounded sum lost, to first order.
    ln64(sum) + (x - (sum - 1.0)) / sum
}

/// The angle 2 pi (high * 2^32 + low + 1/2) / 2^64, from words of 32 bits. Reduced exactly, in integers; never a multiple of a
/// right angle.
#[inline(always)]
pub(crate) fn angle_of_turn64<D: Doubles>(high: D::Bits, low: D::Bits) -> Angle<D> {
    let word = D::Bits::splat;
    // Bits 30 and 31 of the nearest right angle's first word, which may be 2^32, say which it is.
    let nearest = high.add(word(1 << 29)).and(word(7 << 30));
    let rest = high.sub(nearest).signed();
    let x = rest.fused(D::splat(TWO_32), low.unsigned().add(D::splat(0.5)));
    Angle { quarters: nearest.left(32), rest: x.times(D::splat(TAU / TWO_32 / TWO_32)) }
}

/// ln x, x being positive and normal, and sine and cosine of the rest of an angle. The steps of the three series take turns.
#[inline(always)]
pub(super) fn ln_and_rest64<D: Doubles>(x: D, rest: D) -> (D, D, D) {
    let number = D::splat;
    let square = rest.times(rest);
    let (exponent, f) = parts64(x);
    let s = f.over(number(2.0).add(f));
    // The division takes as long as these.
    let sin = horner(square, SIN).times(square).fused(rest, rest);
    let z = s.times(s);
    let (mut ln, mut cos) = (number(LN[0]), number(COS[0]));
    for k in 1..COS.len() {
        (ln, cos) = ln.fused(z, number(LN[k])).beside(cos.fused(square, number(COS[k])));
    }
    let ln = ln.fused(z, number(LN[COS.len()]));
    let (half, one) = (number(0.5).times(square), number(1.0));
    let whole = one.sub(half);
    let cos = whole.add(cos.times(square).fused(square, one.sub(whole).sub(half)));
    (ln_of_series64(exponent, f, s, z, ln), sin, cos)
}

/// (r cos t, r sin t) for r = sqrt(-2 ln u), u being in (0, 1), and the angle t.
#[inline(always)]
pub(crate) fn polar64<D: Doubles>(u: D, angle: Angle<D>) -> (D, D) {
    let (ln, sin, cos) = ln_and_rest64(u, angle.rest);
    at_radius(ln, angle.quarters, sin, cos)
}

/// -ln(1 - x) for x in (0, 1), given the complement 1 - x to full relative precision as well.
#[inline(always)]
pub(crate) fn minus_ln_complement64(x: f64, complement: f64) -> f64 {
    let (exponent, fraction) = parts64(complement);
    // Below 1, the fraction is -x, which is known better.
    let fraction = if exponent == 0.0 && fraction <= 0.0 { -x } else { fraction };
    -ln_of_parts64((exponent, fraction))
}
