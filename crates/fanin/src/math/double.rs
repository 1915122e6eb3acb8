//! f64: the kernels of Sun's fdlibm (e_log.c, k_sin.c, k_cos.c), every multiplication that feeds an addition fused where
//! it is spelled so.

use std::f64::consts::{SQRT_2, TAU};

use super::TWO_32;

/// The polynomial with these coefficients, highest first, by Horner's rule, every step fused.
#[inline(always)]
pub(super) fn horner64<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = value.mul_add(x, *coefficient);
    }
    value
}

/// ln x for a positive, normal x; where 1 - x is known better than x itself, `complement` is 1 - x and replaces it
/// for x in [sqrt(1/2), 1].
#[inline(always)]
fn ln64_with(x: f64, complement: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) as i32 - 1022) as f64;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3fe0_0000_0000_0000);
    let small = mantissa < SQRT_2 / 2.0;
    let exponent = if small { exponent - 1.0 } else { exponent };
    let f = (mantissa - 1.0) + if small { mantissa } else { 0.0 };
    let f = if exponent == 0.0 && f <= 0.0 { -complement } else { f };
    let s = f / (2.0 + f);
    let z = s * s;
    let series = horner64(
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
    let half_square = 0.5 * f * f;
    let low = s.mul_add(z.mul_add(series, half_square), exponent * 1.90821492927058770002e-10);
    exponent.mul_add(6.93147180369123816490e-01, f - (half_square - low))
}

/// ln x for a positive, normal x: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln64(x: f64) -> f64 {
    // 1 - x is exact for x in [1/2, 2].
    ln64_with(x, 1.0 - x)
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
fn sin_octant64(x: f64) -> f64 {
    let square = x * x;
    let series = horner64(
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
    (series * square).mul_add(x, x)
}

/// cos x for |x| <= pi / 4.
#[inline(always)]
fn cos_octant64(x: f64) -> f64 {
    let square = x * x;
    let series = horner64(
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
    let half = 0.5 * square;
    let whole = 1.0 - half;
    whole + (series * square).mul_add(square, (1.0 - whole) - half)
}

/// (sin t, cos t) for t = 2 pi (high * 2^32 + low + 1/2) / 2^64. Reduced exactly, in integers; never zero.
#[inline(always)]
pub(crate) fn sin_cos_turn64(high: u32, low: u32) -> (f64, f64) {
    let quarter = high.wrapping_add(1 << 29) >> 30;
    let rest = high.wrapping_sub(quarter << 30) as i32;
    let x = f64::from(rest).mul_add(TWO_32, f64::from(low) + 0.5) * (TAU / TWO_32 / TWO_32);
    let (sin, cos) = (sin_octant64(x), cos_octant64(x));
    let odd = quarter & 1 != 0;
    let (s, c) = (if odd { cos } else { sin }, if odd { sin } else { cos });
    let sin_sign = u64::from(quarter & 2) << 62;
    let cos_sign = u64::from(quarter.wrapping_add(1) & 2) << 62;
    (f64::from_bits(s.to_bits() ^ sin_sign), f64::from_bits(c.to_bits() ^ cos_sign))
}

/// -ln(1 - x) for x in (0, 1), given the complement 1 - x to full relative precision as well.
#[inline(always)]
pub(crate) fn minus_ln_complement64(x: f64, complement: f64) -> f64 {
    -ln64_with(complement, x)
}
