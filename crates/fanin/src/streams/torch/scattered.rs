//! Computes values at arbitrary indices of a uniform or normal fill. Rejection sampling uses these functions to draw
//! the rejected elements again.

use super::interval::Interval;
use super::variates::{pairs, uniforms, uniforms64, unit64};
use super::wide::{Wide, WideSlice};
use super::words::{GROUP, Groups};
use crate::rng::StateReader;
use crate::simd::{Kernel, Level, SimdFloat, SimdIsa, dispatch};

/// The largest number of values that are computed together.
pub(super) const BATCH: usize = 128;

/// Computes the values of a uniform fill at `indices`, and writes them to `out`. `indices` must be in ascending order.
pub(super) fn uniforms_at<W: Wide>(
    level: Level,
    reader: &mut StateReader,
    indices: &[u64],
    interval: Interval,
    out: &mut [W],
) {
    let mut words = [0; 2 * BATCH];
    for (indices, out) in indices.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
        let words = &mut words[..W::WORDS as usize * indices.len()];
        match W::slice(out) {
            WideSlice::F32(out) => {
                reader.read(indices, [0], words);
                dispatch(level, Uniforms32 { words, interval, out });
            }
            WideSlice::F64(out) => {
                let mut first = [0; BATCH];
                first.iter_mut().zip(indices).for_each(|(first, index)| *first = 2 * index);
                reader.read(&first[..indices.len()], [0, 1], words);
                dispatch(level, Uniforms64 { words, interval, out });
            }
        }
    }
}

/// The kernel of [`uniforms_at`] for f32.
struct Uniforms32<'a> {
    words: &'a [u32],
    interval: Interval,
    out: &'a mut [f32],
}

impl Kernel for Uniforms32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        uniforms::<I>(self.words, self.interval, self.out);
    }
}

/// The kernel of [`uniforms_at`] for f64.
struct Uniforms64<'a> {
    /// The upper words of all values, followed by their lower words.
    words: &'a [u32],
    interval: Interval,
    out: &'a mut [f64],
}

impl Kernel for Uniforms64<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let (upper, lower) = self.words.split_at(self.out.len());
        let mut words = [0; 2 * BATCH];
        for (pair, (upper, lower)) in words.as_chunks_mut::<2>().0.iter_mut().zip(upper.iter().zip(lower)) {
            *pair = [*upper, *lower];
        }
        uniforms64(&words[..2 * self.out.len()], self.interval, self.out);
    }
}

/// Computes the values of a normal fill at `indices`, and writes them to `out`. `indices` must be in ascending order.
/// Supports only fills that torch draws in groups (see [`Groups`]).
pub(super) fn normals_at<W: Wide>(
    level: Level,
    reader: &mut StateReader,
    groups: &Groups,
    indices: &[u64],
    (mean, std): (f64, f64),
    out: &mut [W],
) {
    // Each value is computed from a radius and an angle (Box-Muller). The words of the angle come half a group after
    // the words of the radius.
    const HALF: usize = GROUP / 2;
    let each = W::WORDS;
    let (mut first, mut sine) = ([0; BATCH], [false; BATCH]);
    let mut words = [0; 4 * BATCH];
    for (indices, out) in indices.chunks(BATCH).zip(out.chunks_mut(BATCH)) {
        for ((first, sine), &index) in first.iter_mut().zip(&mut sine).zip(indices) {
            let (start, lane) = groups.of(index);
            *first = start + each * (lane % HALF) as u64;
            *sine = lane >= HALF;
        }
        let (first, words) = (&first[..indices.len()], &mut words[..2 * each as usize * indices.len()]);
        let sine = &sine[..indices.len()];
        match W::slice(out) {
            WideSlice::F32(out) => {
                reader.read(first, [0, HALF as u32], words);
                dispatch(level, Normals32 { words, sine, mean, std, out });
            }
            WideSlice::F64(out) => {
                reader.read(first, [0, 1, GROUP as u32, GROUP as u32 + 1], words);
                dispatch(level, Normals64 { words, sine, mean, std, out });
            }
        }
    }
}

/// The kernel of [`normals_at`] for f32.
struct Normals32<'a> {
    /// The words of all radii, followed by the words of all angles.
    words: &'a [u32],
    /// `true` for a value that uses the sine of its angle, `false` for a value that uses the cosine.
    sine: &'a [bool],
    mean: f64,
    std: f64,
    out: &'a mut [f32],
}

impl Kernel for Normals32<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let count = self.out.len();
        let (mut radii, mut angles) = ([0; BATCH], [0; BATCH]);
        radii[..count].copy_from_slice(&self.words[..count]);
        angles[..count].copy_from_slice(&self.words[count..]);
        let (mut cosines, mut sines) = ([0f32; BATCH], [0f32; BATCH]);
        let distribution = (self.mean as f32, self.std as f32);
        for at in (0..count).step_by(I::F32::LANES) {
            pairs::<I::F32>(&radii[at..], &angles[at..], distribution, &mut cosines[at..], &mut sines[at..]);
        }
        for ((out, is_sine), (cosine, sine)) in
            self.out.iter_mut().zip(self.sine).zip(cosines.iter().zip(&sines))
        {
            *out = if *is_sine { *sine } else { *cosine };
        }
    }
}

/// The kernel of [`normals_at`] for f64.
struct Normals64<'a> {
    /// The words of all values in this order: the upper words of the radii, the lower words of the radii, the upper
    /// words of the angles, and the lower words of the angles.
    words: &'a [u32],
    /// `true` for a value that uses the sine of its angle, `false` for a value that uses the cosine.
    sine: &'a [bool],
    mean: f64,
    std: f64,
    out: &'a mut [f64],
}

impl Kernel for Normals64<'_> {
    type Output = ();

    #[allow(
        clippy::disallowed_methods,
        reason = "torch calls the C library, and bit-identical values need the same functions"
    )]
    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { words, sine, mean, std, out } = self;
        let count = out.len();
        let unit = |value: usize, row: usize| {
            unit64(u64::from(words[row * count + value]) << 32 | u64::from(words[(row + 1) * count + value]))
        };
        for (value, (out, sine)) in out.iter_mut().zip(sine).enumerate() {
            let radius = (-2.0 * (1.0 - unit(value, 0)).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * unit(value, 2)).sin_cos();
            *out = (radius * if *sine { sin } else { cos }).mul_add(std, mean);
        }
    }
}
