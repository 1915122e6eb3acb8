//! Normal variates: Box and Muller 1958.

use super::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::math::{TWO_32, angle_of_turn, angle_of_turn64, polar, polar64};
use crate::rng::{LANES, Words};
use crate::simd::{Bits, Doubles, Floats, Isa, Singles};

/// N(mean, std^2) in f32. Words 0 and 1 of a block make variates 0 and 1, words 2 and 3 variates 2 and 3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal32 {
    mean: f32,
    std: f32,
}

impl Normal32 {
    pub(crate) fn new(mean: f64, std: f64) -> Self {
        Self { mean: mean as f32, std: std as f32 }
    }
}

/// (r cos t, r sin t) for r = sqrt(-2 ln u), u = min(radius + 1/2, 2^32 - 2^8) / 2^32, so that r is from 0.00049 to 6.763, and
/// t = 2 pi (turn + 1/2) / 2^32.
#[inline(always)]
fn pair<F: Singles>(radius: F::Bits, turn: F::Bits) -> (F, F) {
    let x = F::splat(4_294_967_040.0).lesser(radius.unsigned().add(F::splat(0.5)));
    polar::<F, -32>(x, angle_of_turn(turn))
}

/// Pairs that a group makes.
const PAIRS: usize = GROUP_32 / 2;

impl Transform32 for Normal32 {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f32; GROUP_32]) {
        let (mut radii, mut turns) = ([[0; LANES]; 2], [[0; LANES]; 2]);
        for (pair, words) in words.as_chunks::<2>().0.iter().enumerate() {
            (radii[pair], turns[pair]) = (words[0], words[1]);
        }
        let (radii, turns) = (radii.as_flattened(), turns.as_flattened());
        let (mut cosines, mut sines) = ([0f32; PAIRS], [0f32; PAIRS]);
        let (mean, std) = (I::Singles::splat(self.mean), I::Singles::splat(self.std));
        for at in (0..PAIRS).step_by(I::Singles::COUNT) {
            let (cos, sin) = pair::<I::Singles>(Bits::load(&radii[at..]), Bits::load(&turns[at..]));
            cos.fused(std, mean).store(&mut cosines[at..]);
            sin.fused(std, mean).store(&mut sines[at..]);
        }
        let halves = cosines.as_chunks::<LANES>().0.iter().zip(sines.as_chunks::<LANES>().0);
        for ((cosines, sines), out) in halves.zip(out.as_chunks_mut::<{ 2 * LANES }>().0) {
            let (first, second) = out.split_at_mut(LANES);
            first.copy_from_slice(cosines);
            second.copy_from_slice(sines);
        }
    }
}

/// N(mean, std^2) in f64. Words 0 and 1 of a block make the radius, words 2 and 3 the angle of variates 0 and 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normal64 {
    mean: f64,
    std: f64,
}

impl Normal64 {
    pub(crate) fn new(mean: f64, std: f64) -> Self {
        Self { mean, std }
    }
}

/// (r cos t, r sin t) for r = sqrt(-2 ln u), u = min(radius + 1/2, 2^64 - 2^11) / 2^64, so that r is from 1.5e-8 to 9.49, and
/// t = 2 pi (turn + 1/2) / 2^64: each of 64 bits, by the high and the low half.
#[inline(always)]
fn pair64<D: Doubles>(radius: [D::Bits; 2], turn: [D::Bits; 2]) -> (D, D) {
    let greatest = D::splat(TWO_32 * TWO_32 - 2048.0);
    let x = radius[0].unsigned().fused(D::splat(TWO_32), radius[1].unsigned().add(D::splat(0.5)));
    let x = greatest.lesser(x).times(D::splat(1.0 / TWO_32 / TWO_32));
    polar64(x, angle_of_turn64(turn[0], turn[1]))
}

impl Transform64 for Normal64 {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f64; GROUP_64]) {
        let (first, second) = out.split_at_mut(LANES);
        let (mean, std) = (I::Doubles::splat(self.mean), I::Doubles::splat(self.std));
        let [a, b, c, d] = words;
        for at in (0..LANES).step_by(I::Doubles::COUNT) {
            let radius = [Bits::load(&a[at..]), Bits::load(&b[at..])];
            let turn = [Bits::load(&c[at..]), Bits::load(&d[at..])];
            let (cos, sin) = pair64::<I::Doubles>(radius, turn);
            cos.fused(std, mean).store(&mut first[at..]);
            sin.fused(std, mean).store(&mut second[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_radius() {
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
    fn a_slow_oracle_agrees() {
        let word = |k: u32| k.wrapping_mul(0x9E37_79B9) ^ (k << 7);
        for k in 0..10_000 {
            let words: Words =
                std::array::from_fn(|w| std::array::from_fn(|lane| word(k * 64 + (w * 16 + lane) as u32)));
            let mut out = [0f32; GROUP_32];
            Normal32::new(0.5, 2.0).apply::<crate::simd::Plain>(&words, &mut out);
            let mut out64 = [0f64; GROUP_64];
            Normal64::new(0.5, 2.0).apply::<crate::simd::Plain>(&words, &mut out64);
            let [w0, w1, w2, w3] = words.map(|lanes| f64::from(lanes[3]));
            let oracle = |u: f64, turn: f64| {
                let (sin, cos) = (turn * std::f64::consts::TAU).sin_cos();
                [0.5 + 2.0 * (-2.0 * u.ln()).sqrt() * cos, 0.5 + 2.0 * (-2.0 * u.ln()).sqrt() * sin]
            };
            for (pair, (u, turn)) in [(w0, w1), (w2, w3)].into_iter().enumerate() {
                let u = ((u + 0.5) / TWO_32).min(1.0 - 2f64.powi(-24));
                for (k, exact) in oracle(u, (turn + 0.5) / TWO_32).into_iter().enumerate() {
                    let found = f64::from(out[(2 * pair + k) * LANES + 3]);
                    // u near 1 is held to 24 bits, so that r is uncertain by 2^-25 / r.
                    assert!((found - exact).abs() < 3e-6 + 1.2e-7 / (1.0 - u).sqrt(), "{found} {exact}");
                }
            }
            let exact = oracle((w0 + (w1 + 0.5) / TWO_32) / TWO_32, (w2 + (w3 + 0.5) / TWO_32) / TWO_32);
            for (k, exact) in exact.into_iter().enumerate() {
                // The oracle's own sine is of an angle rounded to 4e-16.
                assert!((out64[k * LANES + 3] - exact).abs() < 2e-14, "{} {exact}", out64[k * LANES + 3]);
            }
        }
    }
}
