//! Normal variates by the Box-Muller transform (1958).

use super::transform::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::math::{TWO_32, angle_of_turn, angle_of_turn64, polar, polar64};
use crate::rng::{GroupWords, LANES};
use crate::simd::{SimdBits, SimdF32, SimdF64, SimdFloat, SimdIsa};

/// The normal distribution N(mean, std^2), computed in f32.
///
/// In each block of four words, word 0 gives the radius and word 1 the angle of variates 0 and 1. Words 2 and 3 do the
/// same for variates 2 and 3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal32 {
    mean: f32,
    std: f32,
}

impl Normal32 {
    /// Creates the distribution. The parameters are rounded to f32.
    pub(crate) fn new(mean: f64, std: f64) -> Self {
        Self { mean: mean as f32, std: std as f32 }
    }
}

/// Returns the two standard normal variates `(r cos t, r sin t)` of the words `radius` and `turn`:
///
/// - `u = min(radius + 1/2, 2^32 - 2^8) / 2^32`
/// - `r = sqrt(-2 ln u)`, at least 2^-11.5 (about 0.00035) and at most about 6.764
/// - `t = 2 pi (turn + 1/2) / 2^32`
#[inline(always)]
fn pair<F: SimdF32>(radius: F::Bits, turn: F::Bits) -> (F, F) {
    let x = F::splat(4_294_967_040.0).min(radius.convert_unsigned().add(F::splat(0.5)));
    polar::<F, -32>(x, angle_of_turn(turn))
}

/// The number of pairs of variates from a group of 64 words.
const PAIRS: usize = GROUP_32 / 2;

impl Transform32 for Normal32 {
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f32; GROUP_32]) {
        let (mut radii, mut turns) = ([[0; LANES]; 2], [[0; LANES]; 2]);
        for (pair, words) in words.as_chunks::<2>().0.iter().enumerate() {
            (radii[pair], turns[pair]) = (words[0], words[1]);
        }
        let (radii, turns) = (radii.as_flattened(), turns.as_flattened());
        let (mut cosines, mut sines) = ([0f32; PAIRS], [0f32; PAIRS]);
        let (mean, std) = (I::F32::splat(self.mean), I::F32::splat(self.std));
        for at in (0..PAIRS).step_by(I::F32::LANES) {
            let (cos, sin) = pair::<I::F32>(SimdBits::load(&radii[at..]), SimdBits::load(&turns[at..]));
            cos.mul_add(std, mean).store(&mut cosines[at..]);
            sin.mul_add(std, mean).store(&mut sines[at..]);
        }
        let halves = cosines.as_chunks::<LANES>().0.iter().zip(sines.as_chunks::<LANES>().0);
        for ((cosines, sines), out) in halves.zip(out.as_chunks_mut::<{ 2 * LANES }>().0) {
            let (first, second) = out.split_at_mut(LANES);
            first.copy_from_slice(cosines);
            second.copy_from_slice(sines);
        }
    }
}

/// The normal distribution N(mean, std^2), computed in f64.
///
/// In each block of four words, words 0 and 1 give the radius, and words 2 and 3 give the angle of two variates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal64 {
    mean: f64,
    std: f64,
}

impl Normal64 {
    /// Creates the distribution.
    pub(crate) fn new(mean: f64, std: f64) -> Self {
        Self { mean, std }
    }
}

/// Returns the two standard normal variates `(r cos t, r sin t)` of the 64-bit words `radius` and `turn`:
///
/// - `u = min(radius + 1/2, 2^64 - 2^11) / 2^64`
/// - `r = sqrt(-2 ln u)`, at least 2^-26 (about 1.5e-8) and at most about 9.493
/// - `t = 2 pi (turn + 1/2) / 2^64`
///
/// Each word is given as its high and low 32-bit halves.
#[inline(always)]
fn pair64<D: SimdF64>(radius: [D::Bits; 2], turn: [D::Bits; 2]) -> (D, D) {
    let greatest = D::splat(TWO_32 * TWO_32 - 2048.0);
    let x = radius[0]
        .convert_unsigned()
        .mul_add(D::splat(TWO_32), radius[1].convert_unsigned().add(D::splat(0.5)));
    let x = greatest.min(x).mul(D::splat(1.0 / TWO_32 / TWO_32));
    polar64(x, angle_of_turn64(turn[0], turn[1]))
}

impl Transform64 for Normal64 {
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f64; GROUP_64]) {
        let (first, second) = out.split_at_mut(LANES);
        let (mean, std) = (I::F64::splat(self.mean), I::F64::splat(self.std));
        let [a, b, c, d] = words;
        for at in (0..LANES).step_by(I::F64::LANES) {
            let radius = [SimdBits::load(&a[at..]), SimdBits::load(&b[at..])];
            let turn = [SimdBits::load(&c[at..]), SimdBits::load(&d[at..])];
            let (cos, sin) = pair64::<I::F64>(radius, turn);
            cos.mul_add(std, mean).store(&mut first[at..]);
            sin.mul_add(std, mean).store(&mut second[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_radius_has_the_documented_bounds_and_is_never_zero() {
        let radius = |word| {
            let (cos, sin) = pair::<f32>(word, 0);
            cos.hypot(sin)
        };
        assert!((6.76..6.77).contains(&radius(0)), "{}", radius(0));
        assert!((1e-4..1e-3).contains(&radius(u32::MAX)), "never 0: {}", radius(u32::MAX));
        let radius64 = |word: u32| {
            let (cos, sin) = pair64::<f64>([word.into(); 2], [0; 2]);
            cos.hypot(sin)
        };
        assert!((9.49..9.5).contains(&radius64(0)), "{}", radius64(0));
        assert!((1e-8..1e-7).contains(&radius64(u32::MAX)), "{}", radius64(u32::MAX));
    }

    #[test]
    fn variates_agree_with_a_reference_in_f64() {
        let word = |k: u32| k.wrapping_mul(0x9E37_79B9) ^ (k << 7);
        for k in 0..10_000 {
            let words: GroupWords =
                std::array::from_fn(|w| std::array::from_fn(|lane| word(k * 64 + (w * 16 + lane) as u32)));
            let mut out = [0f32; GROUP_32];
            Normal32::new(0.5, 2.0).apply::<crate::simd::Scalar>(&words, &mut out);
            let mut out64 = [0f64; GROUP_64];
            Normal64::new(0.5, 2.0).apply::<crate::simd::Scalar>(&words, &mut out64);
            let [w0, w1, w2, w3] = words.map(|lanes| f64::from(lanes[3]));
            let reference = |u: f64, turn: f64| {
                let (sin, cos) = (turn * std::f64::consts::TAU).sin_cos();
                [0.5 + 2.0 * (-2.0 * u.ln()).sqrt() * cos, 0.5 + 2.0 * (-2.0 * u.ln()).sqrt() * sin]
            };
            for (pair, (u, turn)) in [(w0, w1), (w2, w3)].into_iter().enumerate() {
                let u = ((u + 0.5) / TWO_32).min(1.0 - 2f64.powi(-24));
                for (k, exact) in reference(u, (turn + 0.5) / TWO_32).into_iter().enumerate() {
                    let found = f64::from(out[(2 * pair + k) * LANES + 3]);
                    // u is rounded to the 24 bits of an f32. Near u = 1, the rounding changes r by up to 2^-25 / r.
                    assert!((found - exact).abs() < 3e-6 + 1.2e-7 / (1.0 - u).sqrt(), "{found} {exact}");
                }
            }
            let exact = reference((w0 + (w1 + 0.5) / TWO_32) / TWO_32, (w2 + (w3 + 0.5) / TWO_32) / TWO_32);
            for (k, exact) in exact.into_iter().enumerate() {
                // In the reference computation, the angle has a rounding error of up to 4e-16.
                assert!((out64[k * LANES + 3] - exact).abs() < 2e-14, "{} {exact}", out64[k * LANES + 3]);
            }
        }
    }
}
