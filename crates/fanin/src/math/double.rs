//! f64: the kernels of Sun's fdlibm (e_log.c, k_sin.c, k_cos.c), every multiplication that feeds an addition fused where
//! it is spelled so.

use std::f64::consts::{SQRT_2, TAU};

use super::{TWO_32, horner, turn};
use crate::simd::{Bits, Doubles};

/// Exponent and fraction of a positive, normal x: x = (1 + fraction) * 2^exponent with 1 + fraction in
/// [sqrt(1/2), sqrt 2).
#[inline(always)]
fn parts64<D: Doubles>(x: D) -> (D, D) {
    let word = D::Bits::splat;
    let bits = x.bits();
    let exponent = bits.right(52).sub(word(1022)).signed();
    let mantissa = bits.and(word(0x000f_ffff_ffff_ffff)).xor(word(0x3fe0_0000_0000_0000)).floats();
    let (zero, one, half) = (D::splat(0.0), D::splat(1.0), D::splat(SQRT_2 / 2.0));
    let exponent = exponent.sub(mantissa.where_less(half, one, zero));
    (exponent, mantissa.sub(one).add(mantissa.where_less(half, mantissa, zero)))
}

/// ln((1 + fraction) * 2^exponent).
#[inline(always)]
fn ln_of_parts64<D: Doubles>((exponent, f): (D, D)) -> D {
    let s = f.over(D::splat(2.0).add(f));
    let z = s.times(s).abreast();
    let series = horner(
        z,
        [
            1.479819860511658591e-01,
            1.531383769920937332e-01,
            1.818357216161805012e-01,
            2.222219843214978396e-01,
            2.857142874366239149e-01,
            3.999999999940941908e-01,
            6.666666666666735130e-01,
        ],
    );
    let half_square = D::splat(0.5).times(f).times(f);
    let low = s.fused(z.fused(series, half_square), exponent.times(D::splat(1.90821492927058770002e-10)));
    exponent.fused(D::splat(6.93147180369123816490e-01), f.sub(half_square.sub(low)))
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

/// sin x for |x| <= pi / 4.
#[inline(always)]
fn sin_octant64<D: Doubles>(x: D) -> D {
    let square = x.times(x);
    let series = horner(
        square,
        [
            1.58969099521155010221e-10,
            -2.50507602534068634195e-08,
            2.75573137070700676789e-06,
            -1.98412698298579493134e-04,
            8.33333333332248946124e-03,
            -1.66666666666666324348e-01,
        ],
    );
    series.times(square).fused(x, x)
}

/// cos x for |x| <= pi / 4.
#[inline(always)]
fn cos_octant64<D: Doubles>(x: D) -> D {
    let square = x.times(x);
    let series = horner(
        square,
        [
            -1.13596475577881948265e-11,
            2.08757232129817482790e-09,
            -2.75573143513906633035e-07,
            2.48015872894767294178e-05,
            -1.38888888888741095749e-03,
            4.16666666666666019037e-02,
        ],
    );
    let (half, one) = (D::splat(0.5).times(square), D::splat(1.0));
    let whole = one.sub(half);
    whole.add(series.times(square).fused(square, one.sub(whole).sub(half)))
}

/// (sin t, cos t) for t = 2 pi (high * 2^32 + low + 1/2) / 2^64, from words of 32 bits. Reduced exactly, in integers; never
/// zero.
#[inline(always)]
pub(crate) fn sin_cos_turn64<D: Doubles>(high: D::Bits, low: D::Bits) -> (D, D) {
    let word = D::Bits::splat;
    // 0 to 4 right angles, and what lies beyond the nearest one.
    let quarter = high.add(word(1 << 29)).right(30);
    let rest = high.sub(quarter.left(30)).signed();
    let x = rest.fused(D::splat(TWO_32), low.unsigned().add(D::splat(0.5)));
    let x = x.times(D::splat(TAU / TWO_32 / TWO_32));
    turn(quarter, sin_octant64(x), cos_octant64(x))
}

/// -ln(1 - x) for x in (0, 1), given the complement 1 - x to full relative precision as well.
#[inline(always)]
pub(crate) fn minus_ln_complement64(x: f64, complement: f64) -> f64 {
    let (exponent, fraction) = parts64(complement);
    // Below 1, the fraction is -x, which is known better.
    let fraction = if exponent == 0.0 && fraction <= 0.0 { -x } else { fraction };
    -ln_of_parts64((exponent, fraction))
}
