//! Tests that the functions of `math` are accurate and agree with the published algorithms.

use std::f32::consts::FRAC_1_SQRT_2;
use std::f64::consts::{SQRT_2, TAU};

use statrs::distribution::{ContinuousCDF, Normal};

use super::angle::{Angle, rotate_to_quadrant};
use super::double::{ln_sin_cos64, ln64};
use super::single::{COS, LN, SIN, ln_scaled, ln_sin_cos};
use super::*;

/// Returns `ln(2^POWER * x)`, and the sine and cosine of `angle`.
fn ln_and_rotation<const POWER: i32>(x: f32, angle: Angle<f32>) -> (f32, f32, f32) {
    let (ln, sin, cos) = ln_sin_cos::<f32, POWER>(x, angle.remainder);
    let (sin, cos) = rotate_to_quadrant(angle.quadrant, sin, cos);
    (ln, sin, cos)
}

fn relative_error(found: f64, exact: f64) -> f64 {
    ((found - exact) / exact).abs()
}

#[test]
fn logarithms_are_accurate_over_the_whole_range() {
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
            assert!(relative_error(ln64(x), x.ln()) < 4e-16, "ln {x:e}: {:e} {:e}", ln64(x), x.ln());
        }
        assert!(relative_error(ln_1p64(x * 1e-9), (x * 1e-9).ln_1p()) < 5e-16);
        assert!(
            relative_error(minus_ln_complement64(x * 1e-9, 1.0 - x * 1e-9), -(-x * 1e-9).ln_1p()) < 4e-16
        );
    }
}

#[test]
fn sine_and_cosine_of_a_turn_are_accurate_and_never_zero() {
    for k in 0..1_000_000u32 {
        let word = k.wrapping_mul(2_654_435_769);
        let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
        let (_, sin, cos) = ln_and_rotation::<0>(1.0, angle_of_turn(word));
        // First term: an error of 0.786 * 2^-25 for each of the three roundings of the remainder. The magnitude of the
        // remainder is less than 0.786. Second term: the rounding of the result.
        let bound = 1.5 * 0.786 * 2f64.powi(-24) + 2f64.powi(-24);
        assert!((f64::from(sin) - exact.sin()).abs() < bound && (f64::from(cos) - exact.cos()).abs() < bound);
        let angle64 = angle_of_turn64::<f64>(word.into(), 1 << 31);
        let (_, sin64, cos64) = ln_sin_cos64(1.0, angle64.remainder);
        let (sin64, cos64) = rotate_to_quadrant(angle64.quadrant, sin64, cos64);
        let exact = (f64::from(word) + 0.5) / TWO_32 * TAU;
        assert!((sin64 - exact.sin()).abs() < 1e-15 && (cos64 - exact.cos()).abs() < 1e-15, "{word}");
    }
    for word in [0, 1 << 30, 1 << 31, 3 << 30, u32::MAX, (1 << 30) - 1, 1 << 29, (1 << 29) - 1] {
        let (_, sin, cos) = ln_and_rotation::<0>(1.0, angle_of_turn(word));
        assert!(sin != 0.0 && cos != 0.0);
        assert!((sin * sin + cos * cos - 1.0).abs() < 3e-7);
    }
}

#[test]
fn sine_and_cosine_by_torchs_reduction_are_accurate() {
    for k in 0..=1_000_000u32 {
        let x = (f64::from(k) / 1e6 * TAU) as f32;
        let (_, sin, cos) = ln_and_rotation::<0>(1.0, angle(x));
        assert!((f64::from(sin) - f64::from(x).sin()).abs() < 2e-7, "sin {x}");
        assert!((f64::from(cos) - f64::from(x).cos()).abs() < 2e-7, "cos {x}");
    }
}

/// Returns the natural logarithm of `x`, computed by the same steps as in the published source of sse_mathfun.
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

/// Returns the sine and cosine of `x`, computed by the same steps as in the published source of sse_mathfun.
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
fn logarithm_sine_and_cosine_equal_the_published_algorithms_bitwise_for_every_uniform_of_torch() {
    for word in 0..1u32 << 24 {
        let unit = word as f32 / 16_777_216f32;
        let x = std::f32::consts::TAU * unit;
        let (sin, cos) = published_sin_cos(x);
        let expected = [published_ln(1.0 - unit), sin, cos].map(f32::to_bits);
        let (ln, sin, cos) = ln_and_rotation::<-24>(((1 << 24) - word) as f32, angle(x));
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
            // Newton's method with `erfc`, which is accurate in the tail, refines the quantile of the crate `statrs`.
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
fn the_mills_ratio_is_accurate() {
    for k in 0..300 {
        let z = 5.0 + f64::from(k) / 10.0;
        let exact = (z * libm::erfc(z / SQRT_2) / 2.0 * TAU.sqrt()).ln() + z * z / 2.0;
        assert!((log_mills64(z) - exact).abs() < 1e-12 * z, "{z}: {} {exact}", log_mills64(z));
    }
    assert!(relative_error(log_mills64(1e8), -1e-16) < 1e-12);
}
