//! The quantile of the standard normal distribution in f32 and f64, and the Mills ratio in the far tail.
//!
//! In f32, the quantile z of the probability p is computed by the method of Giles 2010, "Approximating the erfinv
//! function": `z = x * factor(w)`. Here x is `2 * p - 1`, and w is `-ln(1 - x^2)`. w equals
//! `-ln(4 * tail * (1 - tail))`, where `tail` is the smaller of p and 1 - p. Polynomials approximate `factor`. Their
//! coefficients are computed by scripts/tables.py.

use super::double::ln64;
use super::polynomial::{horner, horner_lowest_first};
use super::single::ln_scaled;
use crate::simd::SimdF32;

/// The largest w for which [`body_factor`] is valid (see the module documentation). At this w, the magnitude of the
/// quantile is 3.0083.
pub(crate) const BODY_END: f64 = 5.25;

/// The largest w for which [`quantile_factor`] is valid (see the module documentation). At this w, the magnitude of the
/// quantile is 6.85.
pub(crate) const TAIL_END: f64 = 25.0;

/// A polynomial that approximates `z / x` for w in [0, 5.25] (see the module documentation). Its variable is
/// `w - 2.625`. The coefficients are in ascending order of powers. The relative error is at most about 1e-7.
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

/// A polynomial that approximates `z / x` for sqrt(w) in [2.28, 5] (see the module documentation). Its variable is
/// `sqrt(w) - 3.64`. The coefficients are in ascending order of powers. The relative error is at most about 1e-7.
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

/// A polynomial that approximates `ln(z M(z)) / y` for `y = z^-2` in [0, 0.04]. M is the Mills ratio (see
/// [`log_mills64`]). The variable of the polynomial is `y - 0.02`. The coefficients are in ascending order of powers.
/// The relative error is at most about 5e-17.
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

/// Returns -w, which is `ln(4 * tail * (1 - tail))` (see the module documentation). `tail` must be in (0, 1/2], and
/// must have full relative precision.
#[inline(always)]
pub(crate) fn tail_to_minus_w<F: SimdF32>(tail: F) -> F {
    ln_scaled::<F, 2>(tail.mul(F::splat(1.0).sub(tail)))
}

/// Returns `z / x`, where z is the standard normal quantile of a probability p and x is `2 * p - 1`. The argument
/// `minus_w` is -w, where w is `-ln(1 - x^2)`. w must be at most [`BODY_END`].
#[inline(always)]
pub(crate) fn body_factor<F: SimdF32>(minus_w: F) -> F {
    horner_lowest_first(F::splat(-2.625).sub(minus_w), &QUANTILE_BODY)
}

/// Returns the same quotient `z / x` as [`body_factor`], but for every w up to [`TAIL_END`].
#[inline(always)]
pub(crate) fn quantile_factor<F: SimdF32>(minus_w: F) -> F {
    let body = body_factor(minus_w);
    let w = minus_w.mul(F::splat(-1.0));
    let far = horner_lowest_first(w.sqrt().sub(F::splat(3.64)), &QUANTILE_TAIL);
    F::splat(BODY_END as f32).select_less(w, far, body)
}

/// Returns the standard normal quantile z of a probability p, by algorithm AS 241 (PPND16, Wichura 1988).
///
/// `q` is `p - 1/2`, and must have full relative precision near p = 1/2. `tail` is the smaller of p and 1 - p, and must
/// have full relative precision near p = 0 and p = 1. The relative error of z is less than 1e-15 for |z| <= 37.
#[inline(always)]
pub(crate) fn quantile64(q: f64, tail: f64) -> f64 {
    let r = 0.180625 - q * q;
    let centre = q * horner(
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
    ) / horner(
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
    let middle = horner(
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
    ) / horner(
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
    let far = horner(
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
    ) / horner(
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

/// Returns `ln(z M(z))` for z >= 5, where `M(z) = P(Z > z) / density(z)` is the Mills ratio.
#[inline(always)]
pub(crate) fn log_mills64(z: f64) -> f64 {
    let y = 1.0 / (z * z);
    horner_lowest_first(y - 0.02, &LOG_MILLS) * y
}
