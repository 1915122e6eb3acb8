//! Logarithm, sine and cosine, and the normal quantile, on lanes.
//!
//! Each function is a fixed sequence of IEEE 754 operations: add, multiply, divide, square root, and a fused
//! multiply-add where `mul_add` is spelled. So it gives the same bits at every CPU level, and the order of operations
//! here is part of the promise of both streams. None has a branch, so that loops over arrays become vector code: a
//! condition is a choice between two values that were both computed.

#![allow(clippy::excessive_precision, reason = "coefficients stand as they were published")]

mod double;
mod normal_mean;
mod quantile;

pub(crate) use double::{ln_1p64, ln64, minus_ln_complement64, sin_cos_turn64};
pub(crate) use normal_mean::normal_mean;
pub(crate) use quantile::{
    BODY_END, TAIL_END, body_factor, log_mills64, quantile_factor, quantile64, tail_to_w,
};

use std::f32::consts::{FRAC_1_SQRT_2, TAU};

use crate::simd::{Bits, Floats, Singles};

/// 2^32.
pub(crate) const TWO_32: f64 = 4_294_967_296.0;

/// The polynomial with these coefficients, highest first, by Horner's rule, every step fused.
#[inline(always)]
fn horner<F: Floats, const N: usize>(x: F, coefficients: [F::One; N]) -> F {
    let mut value = F::splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        value = value.fused(x, F::splat(*coefficient)).abreast();
    }
    value
}

// f32: the single-precision polynomials of Moshier's Cephes library (logf.c, sinf.c), in the arrangement that
// sse_mathfun and avx_mathfun published and torch uses, with every multiplication that feeds an addition fused.

/// ln x for a positive, normal x: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln<F: Singles>(x: F) -> F {
    let bits = x.bits();
    let word = F::Bits::splat;
    // x = mantissa * 2^exponent with the mantissa in [1/2, 1), then in [sqrt(1/2), sqrt 2).
    let exponent = bits.right(23).sub(word(126)).signed();
    let mantissa = bits.and(word(0x007f_ffff)).xor(word(0x3f00_0000)).floats();
    let (zero, one) = (F::splat(0.0), F::splat(1.0));
    let half = F::splat(FRAC_1_SQRT_2);
    let exponent = exponent.sub(mantissa.where_less(half, one, zero));
    let x = mantissa.sub(one).add(mantissa.where_less(half, mantissa, zero));
    let square = x.times(x);
    let series = horner(
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
    let low = series.times(x).fused(square, exponent.times(F::splat(-2.12194440e-4)));
    let low = square.fused(F::splat(-0.5), low);
    exponent.fused(F::splat(0.693359375), x.add(low))
}

/// sin x for |x| <= pi / 4.
#[inline(always)]
fn sin_octant<F: Singles>(x: F) -> F {
    let square = x.times(x);
    let series = horner(square, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
    series.times(square).fused(x, x)
}

/// cos x for |x| <= pi / 4.
#[inline(always)]
fn cos_octant<F: Singles>(x: F) -> F {
    let square = x.times(x);
    let series = horner(square, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
    series.times(square).fused(square, square.times(F::splat(-0.5))).add(F::splat(1.0))
}

/// Gives sine and cosine their places and signs: `quarter` is how many right angles were taken off.
#[inline(always)]
fn turn<F: Floats>(quarter: F::Bits, sin: F, cos: F) -> (F, F) {
    let word = |value: u8| F::Bits::splat(value.into());
    let (s, c) = (quarter.where_lowest(cos, sin), quarter.where_lowest(sin, cos));
    // From the second bit to the last one.
    let sign = |quarter: F::Bits| quarter.and(word(2)).left(8 * size_of::<F::One>() as u32 - 2);
    (s.bits().xor(sign(quarter)).floats(), c.bits().xor(sign(quarter.add(word(1)))).floats())
}

/// (sin x, cos x) for 0 <= x <= 2 pi, as torch computes them.
#[inline(always)]
pub(crate) fn sin_cos<F: Singles>(x: F) -> (F, F) {
    // The octant, rounded up to an even number; 2^23 pushes the fraction out of an f32.
    let push = F::splat(8_388_608.0);
    let word = F::Bits::splat;
    let scaled = x.times(F::splat(1.27323954473516));
    let nearest = scaled.add(push).sub(push);
    let truncated = scaled.where_less(nearest, nearest.sub(F::splat(1.0)), nearest);
    let octant = truncated.add(push).bits().and(word(0xf)).add(word(1)).and(word(!1));
    // octant <= 8, so this is exact; by bits, since a conversion would be checked.
    let y = octant.xor(word(0x4b00_0000)).floats().sub(push);
    let x = y.fused(F::splat(-0.78515625), x).abreast();
    let x = y.fused(F::splat(-2.4187564849853515625e-4), x).abreast();
    let x = y.fused(F::splat(-3.77489497744594108e-8), x).abreast();
    turn(octant.right(1), sin_octant(x), cos_octant(x))
}

/// (sin t, cos t) for t = 2 pi (word + 1/2) / 2^32. Reduced exactly, in integers; never zero.
#[inline(always)]
pub(crate) fn sin_cos_turn<F: Singles>(word: F::Bits) -> (F, F) {
    let quarter = word.add(F::Bits::splat(1 << 29)).right(30);
    let rest = word.sub(quarter.left(30)).signed();
    let x = rest.add(F::splat(0.5)).times(F::splat(TAU / TWO_32 as f32));
    turn(quarter, sin_octant(x), cos_octant(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal};
    use std::f64::consts::{SQRT_2, TAU};

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
            let (sin, cos) = sin_cos_turn::<f32>(word);
            // The angle is rounded three times (1.5 units of 2^-24 at 0.785), the result once more.
            let bound = 1.5 * 0.786 * 2f64.powi(-24) + 2f64.powi(-24);
            assert!(
                (f64::from(sin) - exact.sin()).abs() < bound && (f64::from(cos) - exact.cos()).abs() < bound
            );
            let (sin64, cos64) = sin_cos_turn64::<f64>(word.into(), 1 << 31);
            let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
            assert!((sin64 - exact.sin()).abs() < 1e-15 && (cos64 - exact.cos()).abs() < 1e-15, "{word}");
        }
        for word in [0, 1 << 30, 1 << 31, 3 << 30, u32::MAX, (1 << 30) - 1, 1 << 29, (1 << 29) - 1] {
            let (sin, cos) = sin_cos_turn::<f32>(word);
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
                let w32 = tail_to_w(tail as f32);
                if w < TAIL_END {
                    let z32 = f64::from(x * quantile_factor(w32));
                    assert!((z32 * sign - exact).abs() <= 6e-7 * exact.max(0.3), "{tail:e}: {z32} {exact}");
                }
                if w < BODY_END {
                    assert_eq!(quantile_factor(w32), body_factor(w32));
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
