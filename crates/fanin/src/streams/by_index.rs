//! Fills tensors with uniform, normal and truncated normal values. The index of a value determines the random words
//! from which the value is computed. See the section "Words" of [`crate::streams::native`].

#[cfg(feature = "rand_core")]
use crate::cancel::check;
use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::truncated::{Truncated, Visitor32, Visitor64};
use crate::distributions::uniform::{Uniform32, Uniform64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{DType, Element, Values, values};
use crate::plan::Distribution;
use crate::region::{Region, RegionSlice};
use crate::rng::{GroupSource, GroupWords, Philox};
use crate::simd::{Kernel, Level, Prefetch, SimdIsa, dispatch};
use crate::streams::store::store;
use crate::threads::Threads;

/// The number of values that one thread computes at a time. A tensor of at most `CHUNK` values is filled by a single
/// thread, because waking another thread of the pool would take microseconds.
const CHUNK: usize = 1 << 16;

const STANDARD: Distribution = Distribution::Normal { mean: 0.0, std: 1.0 };

/// Fills `out` with standard normal values on and below the diagonal, and with zeros above. `out` is a row-major matrix
/// with `columns` columns. The entries above the diagonal also take words of `source`.
#[cfg(feature = "rand_core")]
pub(super) fn fill_lower_normal_in_sequence(
    level: Level,
    source: impl GroupSource,
    columns: usize,
    out: Values<'_>,
) {
    values!(out, out => {
        fill_by_index_in_sequence(level, STANDARD, source, &Region::whole(&[out.len()]), Element::values(out));
        for (row, values) in out.chunks_exact_mut(columns).enumerate() {
            values.iter_mut().skip(row + 1).for_each(|value| *value = Element::from_f64(0.0));
        }
    });
}

/// Writes standard normal values to the entries of `out` on and below the diagonal. The entries above the diagonal do
/// not change. `out` is a row-major matrix with `columns` columns.
pub(super) fn fill_lower_normal(
    threads: Threads,
    level: Level,
    source: Philox,
    columns: usize,
    out: Values<'_>,
) {
    let region = Region::whole(&[out.len()]);
    let height = CHUNK / columns + 1;
    values!(out, out => threads.chunks(out, height * columns, |first, rows| {
        for (row, values) in (first / columns..).zip(rows.chunks_exact_mut(columns)) {
            let values = &mut values[..columns.min(row + 1)];
            let slice = region.all().slice(row * columns, values.len());
            fill_by_index(level, STANDARD, &mut { source }, slice, Element::values(values));
        }
    }));
}

/// Fills `out`, the row-major memory of `region`, on several threads.
pub(super) fn fill_by_index_on(
    threads: Threads,
    level: Level,
    distribution: Distribution,
    source: impl GroupSource + Copy + Sync,
    region: &Region,
    out: Values<'_>,
) {
    values!(out, out => threads.chunks(out, CHUNK, |first, out| {
        let slice = region.all().slice(first, out.len());
        fill_by_index(level, distribution, &mut { source }, slice, Element::values(out));
    }));
}

/// Fills `out`, the row-major memory of `region`, on the calling thread. `source` can produce its words only in
/// sequence.
#[cfg(feature = "rand_core")]
pub(super) fn fill_by_index_in_sequence(
    level: Level,
    distribution: Distribution,
    mut source: impl GroupSource,
    region: &Region,
    out: Values<'_>,
) {
    // Each chunk consists of whole groups of values. If two chunks shared a group, the words of the group would be
    // needed twice, but a sequential source can produce them only once.
    const { assert!(CHUNK.is_multiple_of(GROUP_32) && CHUNK.is_multiple_of(GROUP_64)) };
    values!(out, out => for (number, out) in out.chunks_mut(CHUNK).enumerate() {
        check();
        let slice = region.all().slice(number * CHUNK, out.len());
        fill_by_index(level, distribution, &mut source, slice, Element::values(out));
    });
}

/// Fills `out`, the row-major memory of `slice`, on the calling thread.
///
/// # Panics
/// Panics if `distribution` is not uniform, normal or truncated normal.
pub(super) fn fill_by_index(
    level: Level,
    distribution: Distribution,
    source: &mut impl GroupSource,
    slice: RegionSlice<'_>,
    out: Values<'_>,
) {
    match out {
        Values::F32(out) => fill_f32(level, distribution, f32::DTYPE, source, slice, out),
        Values::F16(out) => fill_narrow(level, distribution, source, slice, out),
        Values::BF16(out) => fill_narrow(level, distribution, source, slice, out),
        Values::F8E4M3(out) => fill_narrow(level, distribution, source, slice, out),
        Values::F8E5M2(out) => fill_narrow(level, distribution, source, slice, out),
        Values::F64(out) => {
            let fill = Fill { source, slice, out, level };
            match distribution {
                Distribution::Uniform { low, high } if low == high => fill.out.fill(low),
                Distribution::Uniform { low, high } => fill.visit64(Uniform64::new(low, high)),
                Distribution::Normal { mean, std } => fill.visit64(Normal64::new(mean, std)),
                Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                    Truncated::new(mean, std, low, high, f64::DTYPE).visit64(fill);
                }
                _ => unreachable!("{distribution:?} is not drawn by index"),
            }
        }
    }
}

/// Fills `out` with f32 values. The caller then rounds them to `dtype`, the element type of the tensor. The rounding
/// can move a value out of the bounds of the distribution.
fn fill_f32(
    level: Level,
    distribution: Distribution,
    dtype: DType,
    source: &mut impl GroupSource,
    slice: RegionSlice<'_>,
    out: &mut [f32],
) {
    let fill = Fill { source, slice, out, level };
    match distribution {
        Distribution::Uniform { low, high } if low == high => fill.out.fill(low as f32),
        Distribution::Uniform { low, high } => fill.visit32(Uniform32::new(low, high)),
        Distribution::Normal { mean, std } => fill.visit32(Normal32::new(mean, std)),
        Distribution::TruncatedNormal { mean, std, low, high, .. } => {
            Truncated::new(mean, std, low, high, dtype).visit32(dtype, fill);
        }
        _ => unreachable!("{distribution:?} is not drawn by index"),
    }
}

/// Fills memory of a type narrower than f32. The values are computed as f32 in a small buffer, and are then rounded.
/// This avoids separate kernels for each narrow type (docs/dev/build.md).
fn fill_narrow<E: Element>(
    level: Level,
    distribution: Distribution,
    source: &mut impl GroupSource,
    slice: RegionSlice<'_>,
    out: &mut [E],
) {
    /// The number of values that are computed at a time: a multiple of the group size (see [`GROUP_32`]). All values of
    /// a group of a whole tensor are therefore computed together. This is necessary for sequential sources, because
    /// they can produce the words of a group only once. Sequential sources fill only whole tensors.
    const BUFFER: usize = 2048;
    const { assert!(BUFFER.is_multiple_of(GROUP_32)) };
    if let Distribution::Uniform { low, high } = distribution
        && low == high
    {
        // All values equal `low`. The f64 number `low` is rounded once, directly to the type E.
        return out.fill(E::from_f64(low));
    }
    let mut buffer = [0f32; BUFFER];
    for (number, out) in out.chunks_mut(BUFFER).enumerate() {
        let exact = &mut buffer[..out.len()];
        fill_f32(level, distribution, E::DTYPE, source, slice.slice(number * BUFFER, out.len()), exact);
        store(level, exact, E::values(out));
    }
}

/// The arguments of a fill, except the transform of the distribution. The transform is passed to [`Visitor32::visit32`]
/// or [`Visitor64::visit64`].
struct Fill<'a, S, E> {
    source: &'a mut S,
    slice: RegionSlice<'a>,
    out: &'a mut [E],
    level: Level,
}

impl<S: GroupSource> Visitor32 for Fill<'_, S, f32> {
    type Output = ();

    fn visit32(self, transform: impl Transform32) {
        dispatch(self.level, Fill32 { fill: self, transform });
    }
}

impl<S: GroupSource> Visitor64 for Fill<'_, S, f64> {
    type Output = ();

    fn visit64(self, transform: impl Transform64) {
        dispatch(self.level, Fill64 { fill: self, transform });
    }
}

/// A function that computes the `N` values of a group from the words of the group. Implementations are
/// `#[inline(always)]`.
trait GroupTransform<E, const N: usize> {
    /// Computes the values of the group whose words are `words`.
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [E; N]);
}

impl<T: Transform32> GroupTransform<f32, GROUP_32> for T {
    #[inline(always)]
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [f32; GROUP_32]) {
        self.apply::<I>(words, values);
    }
}

impl<T: Transform64> GroupTransform<f64, GROUP_64> for T {
    #[inline(always)]
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [f64; GROUP_64]) {
        self.apply::<I>(words, values);
    }
}

/// The kernel of [`Fill`] for f32.
struct Fill32<'a, S, T> {
    fill: Fill<'a, S, f32>,
    transform: T,
}

impl<S: GroupSource, T: Transform32> Kernel for Fill32<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { fill: Fill { source, slice, out, .. }, transform } = self;
        write_groups::<I, f32, GROUP_32>(slice, out, source, transform);
    }
}

/// The kernel of [`Fill`] for f64.
struct Fill64<'a, S, T> {
    fill: Fill<'a, S, f64>,
    transform: T,
}

impl<S: GroupSource, T: Transform64> Kernel for Fill64<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { fill: Fill { source, slice, out, .. }, transform } = self;
        write_groups::<I, f64, GROUP_64>(slice, out, source, transform);
    }
}

/// Fills `out` with the values of `slice`. If two consecutive runs of `slice` share a group of `N` values, the group is
/// computed only once.
#[inline(always)]
fn write_groups<I: SimdIsa, E: Element, const N: usize>(
    slice: RegionSlice<'_>,
    mut out: &mut [E],
    source: &mut impl GroupSource,
    distribution: impl GroupTransform<E, N>,
) {
    let mut words: [GroupWords; 3] = Default::default();
    // The values of the last group of which only a part was needed. The next run may need another part.
    let mut kept = [E::default(); N];
    let mut kept_group = None;
    for run in slice.runs() {
        let (mut now, rest) = std::mem::take(&mut out).split_at_mut(run.len());
        out = rest;
        let first = run.start as u64;
        let mut group = first / N as u64;
        let mut offset = (first % N as u64) as usize;
        while !now.is_empty() {
            if kept_group == Some(group) {
                let take = now.len().min(N - offset);
                let (copied, later) = std::mem::take(&mut now).split_at_mut(take);
                copied.copy_from_slice(&kept[offset..offset + take]);
                now = later;
                offset = 0;
                group += 1;
                continue;
            }
            // Three groups of words are generated together where possible, because this is faster. `write` is called in
            // only one place, because every call is inlined.
            let is_whole = offset == 0 && now.len() >= N;
            let count = if is_whole && now.len() >= 3 * N { 3 } else { 1 };
            if count == 3 {
                source.three_groups::<I>(group, &mut words);
            } else {
                words[0] = source.words::<I>(group);
            }
            let written = if is_whole { count * N } else { 0 };
            let (whole, later) = std::mem::take(&mut now).split_at_mut(written);
            now = later;
            let mut prefetch = Prefetch::new(&*now);
            let mut whole = whole.as_chunks_mut::<N>().0.iter_mut();
            for words in &words[..count] {
                let values = whole.next().unwrap_or(&mut kept);
                // The code prefetches the memory that will be written after these groups.
                prefetch.next_lines_for(values);
                distribution.write::<I>(words, values);
            }
            if is_whole {
                group += count as u64;
            } else {
                kept_group = Some(group);
            }
        }
    }
}
