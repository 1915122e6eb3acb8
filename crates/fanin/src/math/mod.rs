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

pub(crate) use double::{angle_of_turn64, ln_1p64, minus_ln_complement64, polar64};
pub(crate) use normal_mean::normal_mean;
pub(crate) use quantile::{
    BODY_END, TAIL_END, body_factor, log_mills64, quantile_factor, quantile64, tail_to_minus_w,
};

use std::f32::consts::{FRAC_1_SQRT_2, TAU};

use crate::simd::{Bits, Floats, Singles, Words};

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

/// Coefficients of the logarithm's series, highest first.
const LN: [f32; 9] = [
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

/// The same for sine and cosine, in the square.
const SIN: [f32; 3] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
const COS: [f32; 3] = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

/// Exponent and fraction of 2^power x, both normal and positive: (1 + fraction) * 2^exponent with 1 + fraction in
/// [sqrt(1/2), sqrt 2). The power costs nothing.
#[inline(always)]
fn parts<F: Singles, const POWER: i32>(x: F) -> (F, F) {
    /// The bits of sqrt(1/2), at which the mantissas begin.
    const FIRST: u32 = FRAC_1_SQRT_2.to_bits();
    let word = F::Bits::splat;
    let beyond = x.bits().sub(word(FIRST.wrapping_sub((POWER << 23).cast_unsigned())));
    let mantissa = beyond.and(word(0x007f_ffff)).add(word(FIRST)).floats();
    (beyond.right_signed(23).signed(), mantissa.sub(F::splat(1.0)))
}

/// ln((1 + x) * 2^exponent), given the series in x and the square of x.
#[inline(always)]
fn ln_of_series<F: Singles>(exponent: F, x: F, square: F, series: F) -> F {
    // ln 2 in two parts: 0.693359375 is exact in few bits, the other is the rest.
    let low = series.times(x).fused(square, exponent.times(F::splat(-2.12194440e-4)));
    let low = square.fused(F::splat(-0.5), low);
    exponent.fused(F::splat(0.693359375), x.add(low))
}

/// ln(2^power x) for a positive x, both normal: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln_scaled<F: Singles, const POWER: i32>(x: F) -> F {
    let (exponent, x) = parts::<F, POWER>(x);
    ln_of_series(exponent, x, x.times(x), horner(x, LN))
}

/// ln x for a positive, normal x: within 1 unit in the last place.
#[inline(always)]
pub(crate) fn ln<F: Singles>(x: F) -> F {
    ln_scaled::<F, 0>(x)
}

/// An angle: so many right angles, told by the two highest bits of a word, and what lies beyond, pi / 4 at most in size.
#[derive(Clone, Copy)]
pub(crate) struct Angle<F: Floats> {
    quarters: F::Bits,
    rest: F,
}

/// An angle x, 0 <= x <= 2 pi, as torch reduces it.
#[inline(always)]
pub(crate) fn angle<F: Singles>(x: F) -> Angle<F> {
    let word = F::Bits::splat;
    // The octant and one more, of which the even part, 8 at most, is taken off, and half of that are the quarters.
    let beyond = x.times(F::splat(1.27323954473516)).whole().add(word(1));
    let y = beyond.and(word(!1)).signed();
    let x = y.fused(F::splat(-0.78515625), x).abreast();
    let x = y.fused(F::splat(-2.4187564849853515625e-4), x).abreast();
    let x = y.fused(F::splat(-3.77489497744594108e-8), x).abreast();
    Angle { quarters: beyond.left(29), rest: x }
}

/// The angle 2 pi (word + 1/2) / 2^32. Reduced exactly, in integers; never a multiple of a right angle.
#[inline(always)]
pub(crate) fn angle_of_turn<F: Singles>(word: F::Bits) -> Angle<F> {
    // Its two highest bits are the right angle nearest to the word.
    let nearest = word.add(F::Bits::splat(1 << 29));
    let rest = word.sub(nearest.and(F::Bits::splat(3 << 30))).signed();
    Angle { quarters: nearest, rest: rest.add(F::splat(0.5)).times(F::splat(TAU / TWO_32 as f32)) }
}

/// Gives sine and cosine of an angle's rest their places and signs.
#[inline(always)]
fn turn<F: Floats>(quarters: F::Bits, sin: F, cos: F) -> (F, F) {
    let odd = quarters.left(1);
    let (s, c) = (odd.where_highest(cos, sin), odd.where_highest(sin, cos));
    let highest = F::Bits::splat(1.into()).left(8 * size_of::<F::One>() as u32 - 1);
    let sign = |bits: F::Bits| bits.and(highest);
    (s.bits().xor(sign(quarters)).floats(), c.bits().xor(sign(quarters.xor(odd))).floats())
}

/// ln(2^power x), and sine and cosine of the rest of an angle. The steps of the three series take turns: one after another,
/// each would leave the CPU waiting for its own.
#[inline(always)]
fn ln_and_rest<F: Singles, const POWER: i32>(x: F, rest: F) -> (F, F, F) {
    let number = F::splat;
    let (exponent, x) = parts::<F, POWER>(x);
    let square = rest.times(rest);
    let (ln, sin) =
        number(LN[0]).fused(x, number(LN[1])).beside(number(SIN[0]).fused(square, number(SIN[1])));
    let (ln, sin) = ln.fused(x, number(LN[2])).beside(sin.fused(square, number(SIN[2])));
    let (ln, sin) = ln.fused(x, number(LN[3])).beside(sin.times(square));
    let (ln, sin) = ln.fused(x, number(LN[4])).beside(sin.fused(rest, rest));
    let (ln, cos) = ln.fused(x, number(LN[5])).beside(number(COS[0]).fused(square, number(COS[1])));
    let (ln, cos) = ln.fused(x, number(LN[6])).beside(cos.fused(square, number(COS[2])));
    let (ln, cos) = ln.fused(x, number(LN[7])).beside(cos.times(square));
    let (ln, cos) = ln.fused(x, number(LN[8])).beside(cos.fused(square, square.times(number(-0.5))));
    (ln_of_series(exponent, x, x.times(x), ln), sin, cos.add(number(1.0)))
}

/// (r cos t, r sin t) for r = sqrt(-2 ln u), u = 2^power x being in (0, 1), and the angle t.
#[inline(always)]
pub(crate) fn polar<F: Singles, const POWER: i32>(x: F, angle: Angle<F>) -> (F, F) {
    let (ln, sin, cos) = ln_and_rest::<F, POWER>(x, angle.rest);
    at_radius(ln, angle.quarters, sin, cos)
}

/// [`polar`] of the logarithm, and of sine and cosine of the angle's rest.
#[inline(always)]
fn at_radius<F: Floats<One: From<i8>>>(ln: F, quarters: F::Bits, sin: F, cos: F) -> (F, F) {
    // The root takes as long as sine and cosine take to find their places: it is not to come after.
    let (radius, sin) = ln.times(F::splat((-2).into())).sqrt().beside(sin);
    let (sin, cos) = turn(quarters, sin, cos);
    (radius.times(cos), radius.times(sin))
}

#[cfg(test)]
mod tests {
    use super::double::{ln_and_rest64, ln64};
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal};
    use std::f64::consts::{SQRT_2, TAU};

    /// ln(2^power x), sine and cosine.
    fn ln_sin_cos<const POWER: i32>(x: f32, angle: Angle<f32>) -> (f32, f32, f32) {
        let (ln, sin, cos) = ln_and_rest::<f32, POWER>(x, angle.rest);
        let (sin, cos) = turn(angle.quarters, sin, cos);
        (ln, sin, cos)
    }

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
            let (_, sin, cos) = ln_sin_cos::<0>(1.0, angle_of_turn(word));
            // The angle is rounded three times (1.5 units of 2^-24 at 0.785), the result once more.
            let bound = 1.5 * 0.786 * 2f64.powi(-24) + 2f64.powi(-24);
            assert!(
                (f64::from(sin) - exact.sin()).abs() < bound && (f64::from(cos) - exact.cos()).abs() < bound
            );
            let angle64 = angle_of_turn64::<f64>(word.into(), 1 << 31);
            let (_, sin64, cos64) = ln_and_rest64(1.0, angle64.rest);
            let (sin64, cos64) = turn(angle64.quarters, sin64, cos64);
            let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
            assert!((sin64 - exact.sin()).abs() < 1e-15 && (cos64 - exact.cos()).abs() < 1e-15, "{word}");
        }
        for word in [0, 1 << 30, 1 << 31, 3 << 30, u32::MAX, (1 << 30) - 1, 1 << 29, (1 << 29) - 1] {
            let (_, sin, cos) = ln_sin_cos::<0>(1.0, angle_of_turn(word));
            assert!(sin != 0.0 && cos != 0.0);
            assert!((sin * sin + cos * cos - 1.0).abs() < 3e-7);
        }
    }

    #[test]
    fn torchs_sine_and_cosine_are_close() {
        for k in 0..=1_000_000u32 {
            let x = (f64::from(k) / 1e6 * TAU) as f32;
            let (_, sin, cos) = ln_sin_cos::<0>(1.0, angle(x));
            assert!((f64::from(sin) - f64::from(x).sin()).abs() < 2e-7, "sin {x}");
            assert!((f64::from(cos) - f64::from(x).cos()).abs() < 2e-7, "cos {x}");
        }
    }

    /// The logarithm step by step as sse_mathfun published it.
    fn published_ln(x: f32) -> f32 {
        let bits = x.to_bits();
        let mut exponent = ((bits >> 23) as i32 - 126) as f32;
        let mut x = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
        if x < FRAC_1_SQRT_2 {
            exponent -= 1.0;
            x = (x - 1.0) + x;
        } else {
            x -= 1.0;
        }
        let square = x * x;
        let series = LN[1..].iter().fold(LN[0], |series, &next| series.mul_add(x, next));
        let y = (series * x).mul_add(square, exponent * -2.12194440e-4);
        exponent.mul_add(0.693359375, x + square.mul_add(-0.5, y))
    }

    /// Sine and cosine likewise.
    fn published_sin_cos(x: f32) -> (f32, f32) {
        let octant = ((x * 1.27323954473516) as i32 + 1) & !1;
        let y = octant as f32;
        let x = y.mul_add(-0.78515625, x);
        let x = y.mul_add(-2.4187564849853515625e-4, x);
        let x = y.mul_add(-3.77489497744594108e-8, x);
        let square = x * x;
        let [sin, cos] = [SIN, COS].map(|c| c[0].mul_add(square, c[1]).mul_add(square, c[2]) * square);
        let (sin, cos) = (sin.mul_add(x, x), cos.mul_add(square, square * -0.5) + 1.0);
        let (sin, cos) = if octant & 2 == 0 { (sin, cos) } else { (cos, sin) };
        (if octant & 4 == 0 { sin } else { -sin }, if (octant + 2) & 4 == 0 { cos } else { -cos })
    }

    #[test]
    fn the_published_steps_have_the_same_bits_for_all_that_torch_draws() {
        for word in 0..1u32 << 24 {
            let unit = word as f32 / 16_777_216f32;
            let x = std::f32::consts::TAU * unit;
            let (sin, cos) = published_sin_cos(x);
            let expected = [published_ln(1.0 - unit), sin, cos].map(f32::to_bits);
            let (ln, sin, cos) = ln_sin_cos::<-24>(((1 << 24) - word) as f32, angle(x));
            assert_eq!([ln, sin, cos].map(f32::to_bits), expected, "{word}");
            let other = [ln_scaled::<f32, 2>((1.0 - unit) / 4.0), super::ln(1.0 - unit)].map(f32::to_bits);
            assert_eq!(other, [expected[0]; 2], "{word}");
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
                let minus_w = tail_to_minus_w(tail as f32);
                if w < TAIL_END {
                    let z32 = f64::from(x * quantile_factor(minus_w));
                    assert!((z32 * sign - exact).abs() <= 6e-7 * exact.max(0.3), "{tail:e}: {z32} {exact}");
                }
                if w < BODY_END {
                    assert_eq!(quantile_factor(minus_w), body_factor(minus_w));
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
