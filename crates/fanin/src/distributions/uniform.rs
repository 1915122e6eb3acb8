//! Uniform variates.

use super::transform::{GROUP_32, GROUP_64, Transform32, Transform64, clamp};
use crate::dtype::DType;
use crate::math::TWO_32;
use crate::rng::{GroupWords, LANES};
use crate::simd::{SimdBits, SimdFloat, SimdIsa};

/// Returns the least and the greatest number of the type `arithmetic` (f32 or f64) in [low, high). If there is none,
/// both results are the number that is nearest to the middle of the interval.
fn range(low: f64, high: f64, arithmetic: DType) -> (f64, f64) {
    let least = at_least(low, arithmetic);
    let greatest = at_most(high, arithmetic);
    let greatest = if greatest == high && low < high { arithmetic.next_down(greatest) } else { greatest };
    if least <= greatest { (least, greatest) } else { nearest_to_middle(low, high, arithmetic) }
}

/// Returns the bounds to which values on [low, high] are clamped before they are rounded to `dtype`.
///
/// First, [low, high] is restricted to the finite range of `dtype`. The bounds are the least and the greatest f32 (f64
/// if `dtype` is f64) in the restricted interval. If it contains no such number, both bounds are the number that is
/// nearest to its middle.
///
/// `low` must be at most `dtype.largest()`, and `high` must be at least `-dtype.largest()`.
pub(crate) fn closed_range(low: f64, high: f64, dtype: DType) -> (f64, f64) {
    let (low, high) = (low.max(-dtype.largest()), high.min(dtype.largest()));
    let arithmetic = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let (least, greatest) = (at_least(low, arithmetic), at_most(high, arithmetic));
    if least <= greatest { (least, greatest) } else { nearest_to_middle(low, high, arithmetic) }
}

fn nearest_to_middle(low: f64, high: f64, dtype: DType) -> (f64, f64) {
    let middle = dtype.round(low / 2.0 + high / 2.0);
    (middle, middle)
}

/// Returns the least value of `dtype` that is not less than `bound`.
fn at_least(bound: f64, dtype: DType) -> f64 {
    // The bound is clamped before it is rounded, because some types have no infinity.
    let rounded = dtype.round(bound.clamp(-dtype.largest(), dtype.largest()));
    if rounded < bound { dtype.next_up(rounded) } else { rounded }
}

/// Returns the greatest value of `dtype` that is not greater than `bound`.
fn at_most(bound: f64, dtype: DType) -> f64 {
    -at_least(-bound, dtype)
}

/// The uniform distribution U[low, high), computed in f32 as `value = word * scale + middle`. `word` is a 32-bit word,
/// read as a signed integer and rounded to f32. The value is computed by a fused multiply-add and then clamped.
///
/// If the interval is symmetric about 0, `middle` is 0. Every value then has full relative precision, even near 0. The
/// smallest magnitude except 0 is 2^-32 of the width of the interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uniform32 {
    scale: f32,
    middle: f32,
    least: f32,
    greatest: f32,
}

impl Uniform32 {
    /// Creates the distribution U[low, high). Values are clamped to the least and the greatest f32 in this interval.
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self::within(low, high, range(low, high, DType::F32))
    }

    /// Creates the distribution U[low, high], which includes the upper bound. No value is infinite after it is rounded
    /// to `dtype`.
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
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f32; GROUP_32]) {
        for (word, out) in words.as_flattened().iter().zip(out) {
            let value = (*word as i32 as f32).mul_add(self.scale, self.middle);
            *out = clamp(value, self.least, self.greatest);
        }
    }
}

/// The uniform distribution U[low, high), computed in f64 as `value = word * scale + middle`. `word` is two 32-bit
/// words, read as a signed 64-bit integer and rounded to f64. The value is computed and clamped as in [`Uniform32`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uniform64 {
    scale: f64,
    middle: f64,
    least: f64,
    greatest: f64,
}

impl Uniform64 {
    /// Creates the distribution U[low, high).
    pub(crate) fn new(low: f64, high: f64) -> Self {
        Self::within(low, high, range(low, high, DType::F64))
    }

    /// Creates the distribution U[low, high], which includes the upper bound.
    pub(crate) fn closed(low: f64, high: f64) -> Self {
        Self::within(low, high, closed_range(low, high, DType::F64))
    }

    fn within(low: f64, high: f64, (least, greatest): (f64, f64)) -> Self {
        Self { scale: (high - low) / TWO_32 / TWO_32, middle: low / 2.0 + high / 2.0, least, greatest }
    }
}

impl Transform64 for Uniform64 {
    #[inline(always)]
    fn apply<I: SimdIsa>(&self, words: &GroupWords, out: &mut [f64; GROUP_64]) {
        let splat = I::F64::splat;
        for (words, out) in words.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
            for at in (0..LANES).step_by(I::F64::LANES) {
                let high: <I::F64 as SimdFloat>::Bits = SimdBits::load(&words[0][at..]);
                let low: <I::F64 as SimdFloat>::Bits = SimdBits::load(&words[1][at..]);
                // `(high xor 2^31) - 2^31` is the high word as a signed integer.
                let sign = SimdBits::splat(1 << 31);
                let word =
                    high.xor(sign).sub(sign).convert_signed().mul_add(splat(TWO_32), low.convert_unsigned());
                let value = word.mul_add(splat(self.scale), splat(self.middle));
                clamp(value, splat(self.least), splat(self.greatest)).store(&mut out[at..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_all_values_within_their_bounds() {
        for arithmetic in [DType::F32, DType::F64] {
            for (low, high) in [(0.0, 1.0), (-0.1, 0.1), (1.0, 1.1), (-3.0, -2.0), (0.3, 440.0)] {
                let (least, greatest) = range(low, high, arithmetic);
                assert!(least >= low && greatest < high, "{arithmetic} {low} {high}: {least} {greatest}");
                assert!(arithmetic.next_down(least) < low && arithmetic.next_up(greatest) >= high);
                let (least, greatest) = closed_range(low, high, arithmetic);
                assert!(least >= low && greatest <= high && arithmetic.next_up(greatest) > high);
            }
            assert_eq!(range(0.5, 0.5, arithmetic), (0.5, 0.5));
        }
        let none = (1.0 + 1e-9, 1.0 + 2e-9);
        assert_eq!(
            range(none.0, none.1, DType::F32),
            (1.0, 1.0),
            "no f32 is in the interval, so the bounds are the nearest f32"
        );
    }

    #[test]
    fn closed_ranges_are_finite_in_every_type() {
        for dtype in DType::ALL {
            let largest = dtype.largest();
            assert_eq!(closed_range(f64::NEG_INFINITY, f64::INFINITY, dtype), (-largest, largest));
            assert_eq!(closed_range(-1.0, 2.0 * largest, dtype), (-1.0, largest));
        }
        assert_eq!(closed_range(-0.04, 0.04, DType::F8E4M3), closed_range(-0.04, 0.04, DType::F32));
    }

    #[test]
    fn the_extreme_words_give_values_at_the_bounds_and_not_beyond() {
        let ends = [[0x8000_0000u32; LANES], [0x7fff_ffff; LANES], [0; LANES], [u32::MAX; LANES]];
        let mut out = [0f32; GROUP_32];
        Uniform32::new(-0.3, 0.3).apply::<crate::simd::Scalar>(&ends, &mut out);
        // The f32 numbers that are nearest to -0.3 and 0.3 are both outside the interval.
        assert_eq!([out[0], out[16]], [(-0.3f32).next_up(), 0.3f32.next_down()]);
        assert!(out[48] < 0.0 && out[48] > -1e-9, "word -1 gives a value below 0: {}", out[48]);
        let mut out = [0f64; GROUP_64];
        Uniform64::new(2.0, 3.0)
            .apply::<crate::simd::Scalar>(&[ends[0], ends[2], ends[1], ends[3]], &mut out);
        assert_eq!([out[0], out[16]], [2.0, 3f64.next_down()]);
    }
}
