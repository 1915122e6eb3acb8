//! Uniform variates.

use super::{GROUP_32, GROUP_64, Transform32, Transform64, clamp};
use crate::dtype::DType;
use crate::math::TWO_32;
use crate::rng::{LANES, Words};
use crate::simd::{Bits, Floats, Isa};

/// The values of `dtype` that a distribution on [low, high) may write: from the least one that is not below `low` to the
/// greatest one below `high`. Where there is none, the value nearest to the middle.
pub(crate) fn range(low: f64, high: f64, dtype: DType) -> (f64, f64) {
    let least = at_least(low, dtype);
    let greatest = at_most(high, dtype);
    let greatest = if greatest == high && low < high { dtype.next_down(greatest) } else { greatest };
    if least <= greatest { (least, greatest) } else { nearest_to_middle(low, high, dtype) }
}

/// As [`range`], for a distribution on [low, high].
pub(crate) fn closed_range(low: f64, high: f64, dtype: DType) -> (f64, f64) {
    let (least, greatest) = (at_least(low, dtype), at_most(high, dtype));
    if least <= greatest { (least, greatest) } else { nearest_to_middle(low, high, dtype) }
}

fn nearest_to_middle(low: f64, high: f64, dtype: DType) -> (f64, f64) {
    let middle = dtype.round(low / 2.0 + high / 2.0);
    (middle, middle)
}

fn at_least(bound: f64, dtype: DType) -> f64 {
    // Clamped first: what is too large has no value in every type.
    let rounded = dtype.round(bound.clamp(-dtype.largest(), dtype.largest()));
    if rounded < bound { dtype.next_up(rounded) } else { rounded }
}

fn at_most(bound: f64, dtype: DType) -> f64 {
    -at_least(-bound, dtype)
}

/// U[low, high) in f32: a signed word scaled about the middle, so that a symmetric distribution keeps full relative precision
/// down to 2^-32 of its width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uniform32 {
    scale: f32,
    middle: f32,
    least: f32,
    greatest: f32,
}

impl Uniform32 {
    /// `value = word * scale + middle`, the word signed, one rounding; then held to what `dtype` may write.
    pub(crate) fn new(low: f64, high: f64, dtype: DType) -> Self {
        Self::within(low, high, range(low, high, dtype))
    }

    /// U[low, high], the upper bound included.
    pub(crate) fn closed(low: f64, high: f64, dtype: DType) -> Self {
        Self::within(low, high, closed_range(low, high, dtype))
    }

    fn within(low: f64, high: f64, (least, greatest): (f64, f64)) -> Self {
        Self {
            scale: ((high - low) / TWO_32) as f32,
            middle: (low / 2.0 + high / 2.0) as f32,
            least: least as f32,
            greatest: greatest as f32,
        }
    }
}

impl Transform32 for Uniform32 {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f32; GROUP_32]) {
        for (word, out) in words.as_flattened().iter().zip(out) {
            let value = (*word as i32 as f32).mul_add(self.scale, self.middle);
            *out = clamp(value, self.least, self.greatest);
        }
    }
}

/// U[low, high) in f64: as [`Uniform32`], from two words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uniform64 {
    scale: f64,
    middle: f64,
    least: f64,
    greatest: f64,
}

impl Uniform64 {
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self::within(low, high, range(low, high, DType::F64))
    }

    /// U[low, high], the upper bound included.
    pub(crate) fn closed(low: f64, high: f64) -> Self {
        Self::within(low, high, closed_range(low, high, DType::F64))
    }

    fn within(low: f64, high: f64, (least, greatest): (f64, f64)) -> Self {
        Self { scale: (high - low) / TWO_32 / TWO_32, middle: low / 2.0 + high / 2.0, least, greatest }
    }
}

impl Transform64 for Uniform64 {
    #[inline(always)]
    fn apply<I: Isa>(&self, words: &Words, out: &mut [f64; GROUP_64]) {
        let number = I::Doubles::splat;
        for (words, out) in words.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
            for at in (0..LANES).step_by(I::Doubles::COUNT) {
                let high: <I::Doubles as Floats>::Bits = Bits::load(&words[0][at..]);
                let low: <I::Doubles as Floats>::Bits = Bits::load(&words[1][at..]);
                // The high word as a signed one: by its bits it is 2^31 more than that, modulo 2^32.
                let sign = Bits::splat(1 << 31);
                let word = high.xor(sign).sub(sign).signed().fused(number(TWO_32), low.unsigned());
                let value = word.fused(number(self.scale), number(self.middle));
                clamp(value, number(self.least), number(self.greatest)).store(&mut out[at..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_inside_their_bounds_in_every_type() {
        for dtype in DType::ALL {
            for (low, high) in [(0.0, 1.0), (-0.1, 0.1), (1.0, 1.1), (-3.0, -2.0), (0.3, 440.0)] {
                let (least, greatest) = range(low, high, dtype);
                assert!(least >= low && greatest < high, "{dtype} {low} {high}: {least} {greatest}");
                assert!(dtype.next_down(least) < low && dtype.next_up(greatest) >= high);
                let (least, greatest) = closed_range(low, high, dtype);
                assert!(least >= low && greatest <= high && dtype.next_up(greatest) > high);
            }
            assert_eq!(range(0.5, 0.5, dtype), (0.5, 0.5));
        }
        assert_eq!(range(1.0001, 1.0002, DType::F16), (1.0, 1.0), "no f16 lies between: the nearest");
        assert_eq!(closed_range(f64::NEG_INFINITY, f64::INFINITY, DType::F16), (-65504.0, 65504.0));
    }

    #[test]
    fn the_ends_are_reached_and_never_passed() {
        let ends = [[0x8000_0000u32; LANES], [0x7fff_ffff; LANES], [0; LANES], [u32::MAX; LANES]];
        let mut out = [0f32; GROUP_32];
        Uniform32::new(-0.3, 0.3, DType::F32).apply::<crate::simd::Plain>(&ends, &mut out);
        // The f32 nearest to -0.3 lies below it, and the one nearest to 0.3 above.
        assert_eq!([out[0], out[16]], [(-0.3f32).next_up(), 0.3f32.next_down()]);
        assert!(out[48] < 0.0 && out[48] > -1e-9, "the least word below 0 is not lost: {}", out[48]);
        let mut out = [0f64; GROUP_64];
        Uniform64::new(2.0, 3.0).apply::<crate::simd::Plain>(&[ends[0], ends[2], ends[1], ends[3]], &mut out);
        assert_eq!([out[0], out[16]], [2.0, 3f64.next_down()]);
    }
}
