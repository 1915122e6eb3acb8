//! Argument reduction of angles to a quadrant and a remainder, and the conversion from polar coordinates.

use std::f32::consts::TAU;

use crate::simd::{SimdBits, SimdF32, SimdF64, SimdFloat};

/// 2^32.
pub(crate) const TWO_32: f64 = 4_294_967_296.0;

/// An angle in radians, stored as `quadrant * pi / 2 + remainder`. The magnitude of the remainder is at most pi / 4.
#[derive(Clone, Copy)]
pub(crate) struct Angle<F: SimdFloat> {
    /// The quadrant (0 to 3) in the two highest bits. The other bits are ignored.
    pub(super) quadrant: F::Bits,
    pub(super) remainder: F,
}

/// Reduces the angle `x` to a quadrant and a remainder by the same operations as torch. `x` must be in [0, 2 pi].
#[inline(always)]
pub(crate) fn angle<F: SimdF32>(x: F) -> Angle<F> {
    let word = F::Bits::splat;
    // `octant` is the number of the octant, from 1 to 9. `y` is `octant`, rounded down to an even number. `y * pi / 4`
    // is the multiple of pi / 2 that is nearest to `x`.
    let octant = x.mul(F::splat(1.27323954473516)).truncate_to_int().add(word(1));
    let y = octant.and(word(!1)).convert_signed();
    // Subtracts `y * pi / 4`. pi / 4 is split into a sum of three constants (Cody and Waite).
    let x = y.mul_add(F::splat(-0.78515625), x).barrier();
    let x = y.mul_add(F::splat(-2.4187564849853515625e-4), x).barrier();
    let x = y.mul_add(F::splat(-3.77489497744594108e-8), x).barrier();
    Angle { quadrant: octant.shl(29), remainder: x }
}

/// Returns the angle `2 pi (word + 1/2) / 2^32`.
///
/// The quadrant is subtracted in integers, without rounding. The remainder is never 0, so the sine and the cosine are
/// never 0.
#[inline(always)]
pub(crate) fn angle_of_turn<F: SimdF32>(word: F::Bits) -> Angle<F> {
    // The two highest bits of `nearest` are the quadrant: the angle divided by pi / 2, rounded to the nearest integer,
    // modulo 4.
    let nearest = word.add(F::Bits::splat(1 << 29));
    let remainder = word.sub(nearest.and(F::Bits::splat(3 << 30))).convert_signed();
    Angle { quadrant: nearest, remainder: remainder.add(F::splat(0.5)).mul(F::splat(TAU / TWO_32 as f32)) }
}

/// Returns the angle `2 pi (high * 2^32 + low + 1/2) / 2^64`, where `high` and `low` are less than 2^32.
///
/// The quadrant is subtracted in integers, without rounding. The remainder is never 0, so the sine and the cosine are
/// never 0.
#[inline(always)]
pub(crate) fn angle_of_turn64<D: SimdF64>(high: D::Bits, low: D::Bits) -> Angle<D> {
    use std::f64::consts::TAU;
    let word = D::Bits::splat;
    // `nearest` is `high`, rounded to the nearest multiple of 2^30. It is at most 2^32. Bits 30 and 31 of `nearest` are
    // the quadrant.
    let nearest = high.add(word(1 << 29)).and(word(7 << 30));
    let remainder = high.sub(nearest).convert_signed();
    let x = remainder.mul_add(D::splat(TWO_32), low.convert_unsigned().add(D::splat(0.5)));
    Angle { quadrant: nearest.shl(32), remainder: x.mul(D::splat(TAU / TWO_32 / TWO_32)) }
}

/// Returns the sine and cosine of the angle `quadrant * pi / 2 + remainder` (see [`Angle`]). The arguments `sin` and
/// `cos` are the sine and cosine of the remainder.
#[inline(always)]
pub(super) fn rotate_to_quadrant<F: SimdFloat>(quadrant: F::Bits, sin: F, cos: F) -> (F, F) {
    let odd = quadrant.shl(1);
    let (s, c) = (odd.select_by_sign(cos, sin), odd.select_by_sign(sin, cos));
    let sign_bit = F::Bits::splat(1.into()).shl(8 * size_of::<F::Scalar>() as u32 - 1);
    let sign = |bits: F::Bits| bits.and(sign_bit);
    let sin = s.to_bits().xor(sign(quadrant)).bitcast();
    let cos = c.to_bits().xor(sign(quadrant.xor(odd))).bitcast();
    (sin, cos)
}

/// Returns `(r cos t, r sin t)`. The radius is `r = sqrt(-2 * ln)`, where the argument `ln` must be at most 0. The
/// angle t is `quadrant * pi / 2 + remainder` (see [`Angle`]). The arguments `sin` and `cos` are the sine and cosine of
/// the remainder.
#[inline(always)]
pub(super) fn polar_of_ln<F: SimdFloat<Scalar: From<i8>>>(
    ln: F,
    quadrant: F::Bits,
    sin: F,
    cos: F,
) -> (F, F) {
    // The barrier keeps the compiler from moving the square root after the rotation. The CPU then computes the square
    // root and the rotation at the same time.
    let (radius, sin) = ln.mul(F::splat((-2).into())).sqrt().barrier_with(sin);
    let (sin, cos) = rotate_to_quadrant(quadrant, sin, cos);
    (radius.mul(cos), radius.mul(sin))
}
