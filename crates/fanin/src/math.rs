//! Logarithm, sine and cosine, and the normal quantile, on lanes.
//!
//! Each function is a fixed sequence of IEEE 754 operations: add, multiply, divide, square root, and a fused
//! multiply-add where `mul_add` is spelled. So it gives the same bits at every CPU level, and the order of operations
//! here is part of the promise of both streams. None has a branch, so that loops over arrays become vector code: a
//! condition is a choice between two values that were both computed.

#![allow(clippy::excessive_precision, reason = "coefficients stand as they were published")]

use std::f32::consts::{FRAC_1_SQRT_2, TAU as TAU32};
use std::f64::consts::{SQRT_2, TAU};

/// 2^32.
pub(crate) const TWO_32: f64 = 4_294_967_296.0;

/// The polynomial with these coefficients, highest first, by Horner's rule, every step fused.
#[inline(always)]
fn horner32<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = value.mul_add(x, *coefficient);
    }
    value
}

/// As [`horner32`].
#[inline(always)]
fn horner64<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = value.mul_add(x, *coefficient);
    }
    value
}

// f32: the single-precision polynomials of Moshier's Cephes library (logf.c, sinf.c), in the arrangement that
// sse_mathfun and avx_mathfun published and torch uses, with every multiplication that feeds an addition fused.

/// ln x for a positive, normal x: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // x = mantissa * 2^exponent with the mantissa in [1/2, 1), then in [sqrt(1/2), sqrt 2).
    let exponent = (bits >> 23) as i32 - 126;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f00_0000);
    let small = mantissa < FRAC_1_SQRT_2;
    let exponent = exponent as f32 - if small { 1.0 } else { 0.0 };
    let x = (mantissa - 1.0) + if small { mantissa } else { 0.0 };
    let square = x * x;
    let series = horner32(
        x,
        [
            7.0376836292e-2,
            -1.1514610310e-1,
            1.1676998740e-1,
            -1.2420140846e-1,
            1.4249322787e-1,
            -1.6668057665e-1,
            2.0000714765e-1,
            -2.4999993993e-1,
            3.3333331174e-1,
        ],
    );
    // ln 2 in two parts: 0.693359375 is exact in few bits, the other is the rest.
    let low = (series * x).mul_add(square, exponent * -2.12194440e-4);
    let low = square.mul_add(-0.5, low);
    exponent.mul_add(0.693359375, x + low)
}

/// sin x for |x| <= pi / 4.
#[inline(always)]
fn sin_octant(x: f32) -> f32 {
    let square = x * x;
    let series = horner32(square, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
    (series * square).mul_add(x, x)
}

/// cos x for |x| <= pi / 4.
#[inline(always)]
fn cos_octant(x: f32) -> f32 {
    let square = x * x;
    let series = horner32(square, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
    (series * square).mul_add(square, -(square * 0.5)) + 1.0
}

/// Gives sine and cosine their places and signs: `quarter` is how many right angles were taken off.
#[inline(always)]
fn turn32(quarter: u32, sin: f32, cos: f32) -> (f32, f32) {
    let odd = quarter & 1 != 0;
    let (s, c) = (if odd { cos } else { sin }, if odd { sin } else { cos });
    let sin_sign = (quarter & 2) << 30;
    let cos_sign = (quarter.wrapping_add(1) & 2) << 30;
    (f32::from_bits(s.to_bits() ^ sin_sign), f32::from_bits(c.to_bits() ^ cos_sign))
}

/// (sin x, cos x) for 0 <= x <= 2 pi, as torch computes them.
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    // The octant, rounded up to an even number; 2^23 pushes the fraction out of an f32.
    const PUSH: f32 = 8_388_608.0;
    let scaled = x * 1.27323954473516;
    let nearest = (scaled + PUSH) - PUSH;
    let truncated = if nearest > scaled { nearest - 1.0 } else { nearest };
    let octant = ((truncated + PUSH).to_bits() & 0xf).wrapping_add(1) & !1;
    // octant <= 8, so this is exact; by bits, since a conversion would be checked.
    let y = f32::from_bits(octant | 0x4b00_0000) - PUSH;
    let x = y.mul_add(-0.78515625, x);
    let x = y.mul_add(-2.4187564849853515625e-4, x);
    let x = y.mul_add(-3.77489497744594108e-8, x);
    turn32(octant >> 1, sin_octant(x), cos_octant(x))
}

/// (sin t, cos t) for t = 2 pi (word + 1/2) / 2^32. Reduced exactly, in integers; never zero.
#[inline(always)]
pub(crate) fn sin_cos_turn(word: u32) -> (f32, f32) {
    let quarter = word.wrapping_add(1 << 29) >> 30;
    let rest = word.wrapping_sub(quarter << 30) as i32;
    let x = (rest as f32 + 0.5) * (TAU32 / TWO_32 as f32);
    turn32(quarter, sin_octant(x), cos_octant(x))
}

// f64: the kernels of Sun's fdlibm (e_log.c, k_sin.c, k_cos.c), every multiplication that feeds an addition fused
// where it is spelled so.

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

// The normal quantile in f32: z = x * polynomial, where x = 1 - 2 tail carries the sign and
// w = -ln(1 - x^2) = -ln(4 tail (1 - tail)): the form of Giles 2010, "Approximating the erfinv function", with tables
// of our own (scripts/tables.py).

/// The largest w that [`quantile_body`] is for: |z| <= 3.0083.
pub(crate) const BODY_END: f64 = 5.25;

/// The largest w that [`quantile`] is for: |z| <= 6.85.
pub(crate) const TAIL_END: f64 = 25.0;

/// z / x as a function of w in [0, 5.25], in w - 2.625: relative error 1e-7.
const QUANTILE_BODY: [f32; 10] = [
    2.166818141937256,
    0.3472444713115692,
    -0.006543380208313465,
    -0.0016185856657102704,
    0.00030338039505295455,
    -1.0432750059408136e-05,
    -4.332307980803307e-06,
    6.744720622009481e-07,
    2.107665331152475e-08,
    -1.1514293518644081e-08,
];

/// z / x as a function of sqrt(w) in [2.28, 5], in sqrt(w) - 3.64: relative error 1e-7.
const QUANTILE_TAIL: [f32; 11] = [
    4.916621208190918,
    1.425777554512024,
    0.003567009000107646,
    -0.0022285503800958395,
    0.0010288110934197903,
    -0.0005099255940876901,
    0.0003421616565901786,
    -0.00027248021797277033,
    0.00010757773998193443,
    1.498504752817098e-05,
    -1.5346753571066074e-05,
];

/// ln(z M(z)) / y as a function of y = z^-2 in [0, 0.04], in y - 0.02, M being Mills' ratio: relative error 5e-17.
const LOG_MILLS: [f64; 17] = [
    -0.954334508931698,
    2.092068344594306,
    -8.467752967931649,
    46.9828452659012,
    -320.2096725890035,
    2536.693681752304,
    -22605.262481839876,
    221764.86600276464,
    -2358799.1447224384,
    26888279.3030629,
    -325735749.7380482,
    4195654834.180699,
    -56380037726.48862,
    705266074847.4475,
    -10091389159942.414,
    272348235993416.12,
    -4372277617012165.5,
];

/// w for a tail probability in (0, 1/2].
#[inline(always)]
fn tail_to_w(tail: f32) -> f32 {
    -ln((tail * 4.0) * (1.0 - tail))
}

#[inline(always)]
fn body_factor(w: f32) -> f32 {
    lowest_first32(w - 2.625, &QUANTILE_BODY)
}

/// The normal quantile at 1/2 + x/2, given the smaller tail `min((1 - x) / 2, (1 + x) / 2)` to full relative
/// precision. For tails with w <= [`BODY_END`] only.
#[inline(always)]
pub(crate) fn quantile_body(x: f32, tail: f32) -> f32 {
    x * body_factor(tail_to_w(tail))
}

/// As [`quantile_body`], for tails with w <= [`TAIL_END`].
#[inline(always)]
pub(crate) fn quantile(x: f32, tail: f32) -> f32 {
    let w = tail_to_w(tail);
    let body = body_factor(w);
    let far = lowest_first32(w.sqrt() - 3.64, &QUANTILE_TAIL);
    x * if w > BODY_END as f32 { far } else { body }
}

#[inline(always)]
fn lowest_first32<const N: usize>(x: f32, coefficients: &[f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        value = value.mul_add(x, coefficients[k]);
    }
    value
}

/// The normal quantile in f64, |z| <= 37, relative error below 1e-15: Wichura 1988, algorithm AS 241 (PPND16).
///
/// `q` is the probability less 1/2, `tail` the smaller of probability and its complement, each to full relative
/// precision in its own range.
#[inline(always)]
pub(crate) fn quantile64(q: f64, tail: f64) -> f64 {
    let r = 0.180625 - q * q;
    let centre = q * horner64(
        r,
        [
            2509.0809287301226727,
            33430.575583588128105,
            67265.770927008700853,
            45921.953931549871457,
            13731.693765509461125,
            1971.5909503065514427,
            133.14166789178437745,
            3.387132872796366608,
        ],
    ) / horner64(
        r,
        [
            5226.495278852545925,
            28729.085735721942674,
            39307.89580009271061,
            21213.794301586595867,
            5394.1960214247511077,
            687.1870074920579083,
            42.313330701600911252,
            1.0,
        ],
    );
    let r = (-ln64(tail)).sqrt();
    let near = r - 1.6;
    let middle = horner64(
        near,
        [
            7.7454501427834140764e-4,
            0.0227238449892691845833,
            0.24178072517745061177,
            1.27045825245236838258,
            3.64784832476320460504,
            5.7694972214606914055,
            4.6303378461565452959,
            1.42343711074968357734,
        ],
    ) / horner64(
        near,
        [
            1.05075007164441684324e-9,
            5.475938084995344946e-4,
            0.0151986665636164571966,
            0.14810397642748007459,
            0.68976733498510000455,
            1.6763848301838038494,
            2.05319162663775882187,
            1.0,
        ],
    );
    let beyond = r - 5.0;
    let far = horner64(
        beyond,
        [
            2.01033439929228813265e-7,
            2.71155556874348757815e-5,
            0.0012426609473880784386,
            0.026532189526576123093,
            0.29656057182850489123,
            1.7848265399172913358,
            5.4637849111641143699,
            6.6579046435011037772,
        ],
    ) / horner64(
        beyond,
        [
            2.04426310338993978564e-15,
            1.4215117583164458887e-7,
            1.8463183175100546818e-5,
            7.868691311456132591e-4,
            0.0148753612908506148525,
            0.13692988092273580531,
            0.59983220655588793769,
            1.0,
        ],
    );
    let tail = if r <= 5.0 { middle } else { far };
    let signed = f64::from_bits(tail.to_bits() | (q.to_bits() & (1 << 63)));
    if q.abs() <= 0.425 { centre } else { signed }
}

/// ln(z M(z)) for z >= 5, where M(z) = P(Z > z) / density(z) is Mills' ratio.
#[inline(always)]
pub(crate) fn log_mills64(z: f64) -> f64 {
    let y = 1.0 / (z * z);
    let centred = y - 0.02;
    let mut value = LOG_MILLS[LOG_MILLS.len() - 1];
    for k in (0..LOG_MILLS.len() - 1).rev() {
        value = value.mul_add(centred, LOG_MILLS[k]);
    }
    value * y
}

/// -ln(1 - x) for x in (0, 1), given the complement 1 - x to full relative precision as well.
#[inline(always)]
pub(crate) fn minus_ln_complement64(x: f64, complement: f64) -> f64 {
    -ln64_with(complement, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    fn relative(found: f64, exact: f64) -> f64 {
        ((found - exact) / exact).abs()
    }

    #[test]
    fn logarithms_are_close_everywhere() {
        for k in 0..2_000_000u32 {
            let x = f32::from_bits(0x0080_0000 + k * 1061);
            if x.is_finite() {
                let exact = f64::from(x).ln();
                assert!((f64::from(ln(x)) - exact).abs() <= exact.abs() * 1.2e-7 + 1e-37, "ln {x:e}");
            }
        }
        for k in 1..200_000 {
            let x = f64::from(k) / 200_000.0;
            for x in [x, x * 1e-300, x * 1e300] {
                assert!(relative(ln64(x), x.ln()) < 4e-16, "ln {x:e}: {:e} {:e}", ln64(x), x.ln());
            }
            assert!(relative(ln_1p64(x * 1e-9), (x * 1e-9).ln_1p()) < 5e-16);
            assert!(relative(minus_ln_complement64(x * 1e-9, 1.0 - x * 1e-9), -(-x * 1e-9).ln_1p()) < 4e-16);
        }
    }

    #[test]
    fn turns_are_close_and_never_zero() {
        for k in 0..1_000_000u32 {
            let word = k.wrapping_mul(2_654_435_769);
            let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
            let (sin, cos) = sin_cos_turn(word);
            // The angle is rounded three times (1.5 units of 2^-24 at 0.785), the result once more.
            let bound = 1.5 * 0.786 * 2f64.powi(-24) + 2f64.powi(-24);
            assert!(
                (f64::from(sin) - exact.sin()).abs() < bound && (f64::from(cos) - exact.cos()).abs() < bound
            );
            let (sin64, cos64) = sin_cos_turn64(word, 1 << 31);
            let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
            assert!((sin64 - exact.sin()).abs() < 1e-15 && (cos64 - exact.cos()).abs() < 1e-15, "{word}");
        }
        for word in [0, 1 << 30, 1 << 31, 3 << 30, u32::MAX, (1 << 30) - 1, 1 << 29, (1 << 29) - 1] {
            let (sin, cos) = sin_cos_turn(word);
            assert!(sin != 0.0 && cos != 0.0);
            assert!((sin * sin + cos * cos - 1.0).abs() < 3e-7);
        }
    }

    #[test]
    fn torchs_sine_and_cosine_are_close() {
        for k in 0..=1_000_000u32 {
            let x = (f64::from(k) / 1e6 * TAU) as f32;
            let (sin, cos) = sin_cos(x);
            assert!((f64::from(sin) - f64::from(x).sin()).abs() < 2e-7, "sin {x}");
            assert!((f64::from(cos) - f64::from(x).cos()).abs() < 2e-7, "cos {x}");
        }
    }

    #[test]
    fn quantiles_invert_the_distribution_function() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut tail = 0.5f64;
        while tail > 1e-300 {
            for sign in [1.0, -1.0] {
                let z = quantile64(sign * (0.5 - tail), tail);
                let mut exact = -normal.inverse_cdf(tail);
                // Newton on the complementary error function, which is accurate in the tail.
                for _ in 0..3 {
                    let upper = libm::erfc(exact / SQRT_2) / 2.0;
                    exact += (upper - tail) / ((-exact * exact / 2.0).exp() / TAU.sqrt());
                }
                assert!((z * sign - exact).abs() <= 2e-15 * exact.max(0.1), "{tail:e}: {z} {exact}");
                let w = -(4.0 * tail * (1.0 - tail)).ln();
                let x = (sign * (1.0 - 2.0 * tail)) as f32;
                if w < TAIL_END {
                    let z32 = f64::from(quantile(x, tail as f32));
                    assert!((z32 * sign - exact).abs() <= 6e-7 * exact.max(0.3), "{tail:e}: {z32} {exact}");
                }
                if w < BODY_END {
                    assert_eq!(quantile(x, tail as f32), quantile_body(x, tail as f32));
                }
            }
            tail *= 0.97;
        }
    }

    #[test]
    fn mills_ratio_is_close() {
        for k in 0..300 {
            let z = 5.0 + f64::from(k) / 10.0;
            let exact = (z * libm::erfc(z / SQRT_2) / 2.0 * TAU.sqrt()).ln() + z * z / 2.0;
            assert!((log_mills64(z) - exact).abs() < 1e-12 * z, "{z}: {} {exact}", log_mills64(z));
        }
        assert!(relative(log_mills64(1e8), -1e-16) < 1e-12);
    }
}
