//! Functions that transform words of the generator to uniform and normal values, as torch does.

use std::f32::consts::TAU;

use super::interval::Interval;
use super::wide::{Wide, WideSlice};
use super::words::GROUP;
use crate::dtype::Element;
use crate::math::{angle, polar};
use crate::rng::Mt19937;
use crate::simd::{Kernel, Level, Prefetch, SimdBits, SimdF32, SimdFloat, SimdIsa, dispatch};

/// The number of words that are drawn and then transformed at a time. An f32 value takes one word, an f64 value two.
/// Both `CHUNK` and `CHUNK / 2` are multiples of the group size. The words and the values fit in the L1 cache.
const CHUNK: usize = 1248;

/// Transforms random words to normal values, and writes the values to `out`. The length of `out` must be a multiple of
/// [`GROUP`]. `words` must have one word for each f32 value, or two words for each f64 value.
pub(super) fn transform<W: Wide>(level: Level, words: &[u32], (mean, std): (f64, f64), out: &mut [W]) {
    match W::slice(out) {
        WideSlice::F32(out) => dispatch(level, Groups32 { words, mean, std, out }),
        WideSlice::F64(out) => dispatch(level, Groups64 { words, mean, std, out }),
    }
}

/// The kernel of [`transform`] for f32.
struct Groups32<'a> {
    words: &'a [u32],
    mean: f64,
    std: f64,
    out: &'a mut [f32],
}

impl Kernel for Groups32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        groups::<I>(self.words, self.out, self.mean as f32, self.std as f32);
    }
}

/// The kernel of [`transform`] for f64.
struct Groups64<'a> {
    words: &'a [u32],
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Groups64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        groups64(self.words, self.mean, self.std, self.out);
    }
}

/// Returns a uniform value in [0, 1) from the low 53 bits of a 64-bit word.
#[inline(always)]
pub(super) fn unit64(word: u64) -> f64 {
    (word & ((1 << 53) - 1)) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The kernel that draws f32 uniform values.
pub(super) struct Uniform32<'a> {
    pub(super) engine: &'a mut Mt19937,
    pub(super) interval: Interval,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Uniform32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK);
            let words = &mut words[..out.len()];
            self.engine.words_and_prefetch::<I>(words, later);
            uniforms::<I>(words, self.interval, out);
        }
    }
}

/// Removes the first `count` values from `rest`, or all values if there are fewer. Returns these values, and a
/// prefetcher for the next `count` values.
#[inline(always)]
fn split<'a, 'b, E: Element>(rest: &'b mut &'a mut [E], count: usize) -> (&'a mut [E], Prefetch<'b>) {
    let first = count.min(rest.len());
    let (now, later) = std::mem::take(rest).split_at_mut(first);
    *rest = later;
    (now, Prefetch::new(&rest[..count.min(rest.len())]))
}

/// Transforms words to f32 uniform values. Each value is computed from one word.
#[inline(always)]
pub(super) fn uniforms<I: SimdIsa>(words: &[u32], interval: Interval, out: &mut [f32]) {
    let Interval { low, high, first, last: (least, greatest) } = interval;
    let low = low as f32;
    let range = high as f32 - low;
    scaled::<I>(words, low, range, out);
    // The largest word gives the largest value. The loop is needed only if this value is rounded to the upper bound.
    if unit::<f32>(u32::MAX).mul_add(range, low) >= least {
        for out in out {
            *out = if *out >= least && *out <= greatest { first } else { *out };
        }
    }
}

/// Computes `low + range * u`, rounded once, where u is a uniform value in [0, 1) with 24 bits.
#[inline(always)]
fn scaled<I: SimdIsa>(words: &[u32], low: f32, range: f32, out: &mut [f32]) {
    let (floats_low, floats_range) = (I::F32::splat(low), I::F32::splat(range));
    let mut blocks = words.chunks_exact(I::F32::LANES);
    let mut chunks = out.chunks_exact_mut(I::F32::LANES);
    for (words, out) in blocks.by_ref().zip(chunks.by_ref()) {
        unit::<I::F32>(SimdBits::load(words)).mul_add(floats_range, floats_low).store(out);
    }
    for (word, out) in blocks.remainder().iter().zip(chunks.into_remainder()) {
        *out = unit::<f32>(*word).mul_add(range, low);
    }
}

/// The kernel that draws f64 uniform values.
pub(super) struct Uniform64<'a> {
    pub(super) engine: &'a mut Mt19937,
    pub(super) interval: Interval,
    pub(super) out: &'a mut [f64],
}

impl Kernel for Uniform64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK / 2);
            let words = &mut words[..2 * out.len()];
            self.engine.words_and_prefetch::<I>(words, later);
            uniforms64(words, self.interval, out);
        }
    }
}

/// Transforms words to f64 uniform values. Each value is computed from two words.
#[inline(always)]
pub(super) fn uniforms64(words: &[u32], interval: Interval, out: &mut [f64]) {
    let Interval { low, high, .. } = interval;
    let range = high - low;
    for (out, [upper, lower]) in out.iter_mut().zip(words.as_chunks::<2>().0) {
        let value = unit64(u64::from(*upper) << 32 | u64::from(*lower)).mul_add(range, low);
        *out = if value == high { low } else { value };
    }
}

/// The kernel that draws whole groups of f32 normal values.
pub(super) struct Normal32<'a> {
    pub(super) engine: &'a mut Mt19937,
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Normal32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let (mean, std) = (self.mean as f32, self.std as f32);
        let mut words = [0u32; CHUNK];
        let mut rest = self.out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK);
            let words = &mut words[..out.len()];
            self.engine.words_and_prefetch::<I>(words, later);
            groups::<I>(words, out, mean, std);
        }
    }
}

/// The number of values that [`groups`] transforms together, which is enough for the widest vectors.
const FOUR_GROUPS: usize = 4 * GROUP;

/// Transforms the random words of complete groups to f32 normal values, four groups at a time.
#[inline(always)]
fn groups<I: SimdIsa>(words: &[u32], out: &mut [f32], mean: f32, std: f32) {
    let (blocks, rest) = words.as_chunks::<FOUR_GROUPS>();
    let (chunks, last) = out.as_chunks_mut::<FOUR_GROUPS>();
    for (words, out) in blocks.iter().zip(chunks) {
        four_groups::<I>(words, out, mean, std);
    }
    if !rest.is_empty() {
        let mut words = [0; FOUR_GROUPS];
        let mut values = [0f32; FOUR_GROUPS];
        words[..rest.len()].copy_from_slice(rest);
        four_groups::<I>(&words, &mut values, mean, std);
        last.copy_from_slice(&values[..last.len()]);
    }
}

/// Transforms the words of four groups to normal values.
#[inline(always)]
fn four_groups<I: SimdIsa>(words: &[u32; FOUR_GROUPS], values: &mut [f32; FOUR_GROUPS], mean: f32, std: f32) {
    const HALF: usize = GROUP / 2;
    const LANES: usize = FOUR_GROUPS / 2;
    let (mut radii, mut angles) = ([0u32; LANES], [0u32; LANES]);
    for group in 0..FOUR_GROUPS / GROUP {
        radii[group * HALF..][..HALF].copy_from_slice(&words[group * GROUP..][..HALF]);
        angles[group * HALF..][..HALF].copy_from_slice(&words[group * GROUP + HALF..][..HALF]);
    }
    let (mut cosines, mut sines) = ([0f32; LANES], [0f32; LANES]);
    for at in (0..LANES).step_by(I::F32::LANES) {
        pairs::<I::F32>(&radii[at..], &angles[at..], (mean, std), &mut cosines[at..], &mut sines[at..]);
    }
    for group in 0..FOUR_GROUPS / GROUP {
        values[group * GROUP..][..HALF].copy_from_slice(&cosines[group * HALF..][..HALF]);
        values[group * GROUP + HALF..][..HALF].copy_from_slice(&sines[group * HALF..][..HALF]);
    }
}

/// Transforms random words to pairs of normal values, one pair for each lane of `F`. Writes the first value of each
/// pair to `cosines`, and the second value to `sines`.
#[inline(always)]
pub(super) fn pairs<F: SimdF32>(
    radii: &[u32],
    angles: &[u32],
    (mean, std): (f32, f32),
    cosines: &mut [f32],
    sines: &mut [f32],
) {
    let (mean, std) = (F::splat(mean), F::splat(std));
    // torch computes log(1 - u) and TAU * u, where u is uniform in [0, 1). This code uses the integers `2^24 (1 - u)`
    // and `2^24 u`. The factor 2^-24 is in the constants. The results are the same, because scaling by a power of two
    // is exact.
    let complement = F::Bits::splat(1 << UNIT_BITS).sub(low_bits(F::Bits::load(radii))).convert_signed();
    let angle = angle(F::splat(TAU * UNIT).mul(low_bits(F::Bits::load(angles)).convert_signed()));
    let (cos, sin) = polar::<F, { -UNIT_BITS }>(complement, angle);
    cos.mul_add(std, mean).store(cosines);
    sin.mul_add(std, mean).store(sines);
}

/// The number of random bits in an f32 uniform value in [0, 1). These bits are the lowest bits of a word.
const UNIT_BITS: i32 = 24;

/// Uniform f32 values in [0, 1) are integers of [`UNIT_BITS`] bits, times this number.
const UNIT: f32 = 1.0 / (1u32 << UNIT_BITS) as f32;

/// Returns the lowest [`UNIT_BITS`] bits of each word. `convert_signed` converts the result to f32 exactly.
#[inline(always)]
fn low_bits<B: SimdBits<Scalar = u32>>(words: B) -> B {
    words.and(B::splat((1 << UNIT_BITS) - 1))
}

/// Converts each word to a uniform value in [0, 1).
#[inline(always)]
fn unit<F: SimdF32>(word: F::Bits) -> F {
    low_bits(word).convert_signed().mul(F::splat(UNIT))
}

/// The kernel that draws whole groups of f64 normal values.
pub(super) struct Normal64<'a> {
    pub(super) engine: &'a mut Mt19937,
    pub(super) mean: f64,
    pub(super) std: f64,
    pub(super) out: &'a mut [f64],
}

impl Kernel for Normal64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { engine, mean, std, out } = self;
        let mut words = [0u32; CHUNK];
        let mut rest = out;
        while !rest.is_empty() {
            let (out, later) = split(&mut rest, CHUNK / 2);
            engine.words_and_prefetch::<I>(&mut words[..2 * out.len()], later);
            groups64(&words, mean, std, out);
        }
    }
}

/// Transforms the random words of complete groups to f64 normal values. There are two words for each value.
#[allow(
    clippy::disallowed_methods,
    reason = "torch calls the C library, and bit-identical values need the same functions"
)]
#[inline(always)]
fn groups64(words: &[u32], mean: f64, std: f64, out: &mut [f64]) {
    const HALF: usize = GROUP / 2;
    let groups = words.as_chunks::<{ 2 * GROUP }>().0;
    for (words, group) in groups.iter().zip(out.as_chunks_mut::<GROUP>().0) {
        let unit = |k: usize| unit64(u64::from(words[2 * k]) << 32 | u64::from(words[2 * k + 1]));
        for lane in 0..HALF {
            let radius = (-2.0 * (1.0 - unit(lane)).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * unit(lane + HALF)).sin_cos();
            group[lane] = (radius * cos).mul_add(std, mean);
            group[lane + HALF] = (radius * sin).mul_add(std, mean);
        }
    }
}
