//! Boxes of a tensor, and the loops that fill them by index.

use crate::distributions::normal::{Normal32, Normal64};
use crate::distributions::truncated::{Truncated, Visitor32, Visitor64};
use crate::distributions::uniform::{Uniform32, Uniform64};
use crate::distributions::{GROUP_32, GROUP_64, Transform32, Transform64};
use crate::dtype::{Element, Values, values};
use crate::plan::{Distribution, Plan};
use crate::rng::{GroupSource, GroupWords, Philox};
use crate::simd::{Kernel, Level, Prefetch, SimdIsa, dispatch, fill_non_temporal};
use crate::tensor::{Order, TensorMut};
use crate::{cancel::check, threads::Threads};

/// A box of a larger tensor, cut into runs of consecutive global indices.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) axes: Vec<Axis>,
    /// Axes before this one are stepped through; this one and those after it lie in one run.
    outer: usize,
    run: usize,
}

/// An axis of a [`Region`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Where the box begins along it.
    pub(super) start: usize,
    /// How much of it the box has.
    pub(super) size: usize,
    /// How much there is.
    all: usize,
    /// Global row-major stride.
    stride: u64,
}

impl Region {
    pub(super) fn new(shape: &[usize], start: &[usize], size: &[usize]) -> Self {
        let axis = |k: usize| Axis { start: start[k], size: size[k], all: shape[k], stride: 1 };
        Self::of((0..shape.len()).map(axis).collect())
    }

    /// The whole of a tensor.
    pub(super) fn whole(shape: &[usize]) -> Self {
        Self::of(shape.iter().map(|&all| Axis { start: 0, size: all, all, stride: 1 }).collect())
    }

    /// The box along these axes, whose strides are set here.
    fn of(mut axes: Vec<Axis>) -> Self {
        let mut stride = 1;
        for axis in axes.iter_mut().rev() {
            axis.stride = stride;
            stride *= axis.all as u64;
        }
        let outer = axes.iter().rposition(|axis| axis.size != axis.all).unwrap_or(0);
        let run = axes[outer..].iter().map(|axis| axis.size).product();
        Self { axes, outer, run }
    }

    /// All of it.
    pub(super) fn span(&self) -> Span<'_> {
        Span { region: self, first: 0, length: self.axes.iter().map(|axis| axis.size).product() }
    }

    /// The runs of one row of the matrix that has the first axis for rows: (first column, length).
    pub(super) fn row_runs(&self, columns: usize) -> Vec<(usize, usize)> {
        let row = Region::of(self.axes[1..].to_vec());
        debug_assert!(row.axes.iter().map(|axis| axis.all).product::<usize>() == columns);
        row.span().runs().map(|(first, length)| (first as usize, length)).collect()
    }
}

/// A stretch of the values of a [`Region`], in row-major order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    region: &'a Region,
    first: usize,
    length: usize,
}

impl<'a> Span<'a> {
    /// A part of it.
    pub(super) fn part(self, first: usize, length: usize) -> Self {
        debug_assert!(first + length <= self.length);
        Self { first: self.first + first, length, ..self }
    }

    /// The global indices of values at these places of the span, which ascend, instead of what `global` holds.
    pub(super) fn globals(self, places: &[u32], global: &mut Vec<u64>) {
        global.clear();
        let (mut rest, mut end) = (places, 0);
        for (first, length) in self.runs() {
            let begin = end;
            end += length as u64;
            let here = |place: &u32| u64::from(*place) < end;
            let count = match rest.last() {
                None => break,
                Some(last) if here(last) => rest.len(),
                Some(_) => rest.iter().take_while(|place| here(place)).count(),
            };
            let (now, later) = rest.split_at(count);
            global.extend(now.iter().map(|place| first + (u64::from(*place) - begin)));
            rest = later;
        }
        debug_assert!(rest.is_empty(), "the places lie in the span");
    }

    /// Hands out the runs of memory that holds the span, each with its first global index.
    pub(super) fn each<E>(self, mut out: &mut [E], mut run: impl FnMut(u64, &mut [E])) {
        for (first, length) in self.runs() {
            let (now, later) = std::mem::take(&mut out).split_at_mut(length);
            run(first, now);
            out = later;
        }
    }

    /// (first global index, length) of each run, in row-major order.
    pub(super) fn runs(self) -> Runs<'a> {
        let Self { region, first, length } = self;
        let mut index = vec![0; region.outer];
        let mut next = region.axes.iter().map(|axis| axis.start as u64 * axis.stride).sum();
        let mut before = first.checked_div(region.run).unwrap_or(0);
        for (index, axis) in index.iter_mut().zip(&region.axes).rev() {
            *index = before % axis.size;
            before /= axis.size;
            next += *index as u64 * axis.stride;
        }
        Runs { region, index, next, skip: first.checked_rem(region.run).unwrap_or(0), left: length }
    }
}

/// Iterator over the runs of a [`Span`].
#[derive(Debug, Clone)]
pub(super) struct Runs<'a> {
    region: &'a Region,
    index: Vec<usize>,
    next: u64,
    /// Values of the run at hand that lie before the span.
    skip: usize,
    left: usize,
}

impl Iterator for Runs<'_> {
    type Item = (u64, usize);

    #[inline]
    fn next(&mut self) -> Option<(u64, usize)> {
        if self.left == 0 {
            return None;
        }
        let first = self.next + self.skip as u64;
        let length = self.left.min(self.region.run - self.skip);
        self.skip = 0;
        self.left -= length;
        for (index, axis) in self.index.iter_mut().zip(&self.region.axes).rev() {
            *index += 1;
            self.next += axis.stride;
            if *index < axis.size {
                break;
            }
            self.next -= axis.stride * axis.size as u64;
            *index = 0;
        }
        Some((first, length))
    }
}

/// Writes a distribution that draws nothing; `false` if this one draws.
pub(super) fn fixed(threads: Threads, plan: &Plan, start: &[usize], tensor: &mut TensorMut<'_>) -> bool {
    match plan.distribution() {
        Distribution::Constant { value } => background(threads, value, tensor),
        Distribution::Eye | Distribution::Dirac { .. } => background(threads, 0.0, tensor),
        _ => {
            let Some(formula) = plan.formula() else { return false };
            let region = Region::new(plan.shape(), start, tensor.shape());
            tensor.write_in(Order::Index, |memory| {
                values!(memory, memory => region.span().each(memory, |first, out| {
                    for (first, out) in (first..).step_by(CHUNK).zip(out.chunks_mut(CHUNK)) {
                        check();
                        (first..).zip(out).for_each(|(index, out)| *out = Element::from_f64(formula(index)));
                    }
                }));
            });
            return true;
        }
    }
    for index in plan.ones_in(start, tensor.shape()) {
        check();
        let local: Vec<usize> = index.iter().zip(start).map(|(&at, &start)| at - start).collect();
        let (memory, place) = tensor.place(&local);
        values!(memory, memory => memory[place] = Element::from_f64(1.0));
    }
    true
}

/// Writes one value everywhere.
pub(super) fn background(threads: Threads, value: f64, tensor: &mut TensorMut<'_>) {
    let covered = tensor.covers_buffer();
    let (memory, places) = tensor.places(Order::Memory);
    values!(memory, memory => {
        let value = Element::from_f64(value);
        if covered {
            let around = size_of_val(memory) >= AROUND;
            let fill = |_, part: &mut [_]| if around { fill_non_temporal(value, part) } else { part.fill(value) };
            threads.chunks(memory, CHUNK, fill);
        } else {
            places.watched(|place| memory[place] = value);
        }
    });
}

/// Bytes from which a constant is written around the caches: so many fall out of them anyway. Values that are computed
/// are not: there the stores hide behind the arithmetic.
const AROUND: usize = 1 << 25;

/// Values that one thread makes at a time. Twice as many are worth a second thread: a pool takes microseconds to wake.
const CHUNK: usize = 1 << 16;

/// A matrix of standard normal values, and zeros above its diagonal.
#[cfg(feature = "rand_core")]
pub(super) fn lower_normal(level: Level, source: impl GroupSource, columns: usize, out: Values<'_>) {
    values!(out, out => {
        by_index_watched(level, STANDARD, source, &Region::whole(&[out.len()]), Element::values(out));
        for (row, values) in out.chunks_exact_mut(columns).enumerate() {
            values.iter_mut().skip(row + 1).for_each(|value| *value = Element::from_f64(0.0));
        }
    });
}

/// As [`lower_normal`], from an engine with random access, on several threads, to memory that is all zeros: above the
/// diagonal nothing is drawn, and nothing written.
pub(super) fn lower_normal_on(
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
            by_index(level, STANDARD, source, region.span().part(row * columns, values.len()), Element::values(values));
        }
    }));
}

const STANDARD: Distribution = Distribution::Normal { mean: 0.0, std: 1.0 };

/// As [`by_index`], from an engine with random access, on several threads.
pub(super) fn by_index_on(
    threads: Threads,
    level: Level,
    distribution: Distribution,
    source: impl GroupSource + Copy + Sync,
    region: &Region,
    out: Values<'_>,
) {
    values!(out, out => threads.chunks(out, CHUNK, |first, out| {
        by_index(level, distribution, source, region.span().part(first, out.len()), Element::values(out));
    }));
}

/// As [`by_index`], from an engine whose words come in sequence.
#[cfg(feature = "rand_core")]
pub(super) fn by_index_watched(
    level: Level,
    distribution: Distribution,
    mut source: impl GroupSource,
    region: &Region,
    out: Values<'_>,
) {
    // Whole groups, so that none is begun again.
    const { assert!(CHUNK.is_multiple_of(GROUP_32) && CHUNK.is_multiple_of(GROUP_64)) };
    values!(out, out => for (number, out) in out.chunks_mut(CHUNK).enumerate() {
        check();
        by_index(level, distribution, &mut source, region.span().part(number * CHUNK, out.len()), Element::values(out));
    });
}

/// Fills row-major memory with a box of a distribution whose values come from groups of words.
///
/// `sparse`, `orthogonal` and the fixed distributions have no place here.
pub(super) fn by_index(
    level: Level,
    distribution: Distribution,
    source: impl GroupSource,
    span: Span<'_>,
    out: Values<'_>,
) {
    match out {
        Values::F32(out) => by_index_32(distribution, Fill { source, span, out, level }),
        Values::F16(out) => by_index_32(distribution, Fill { source, span, out, level }),
        Values::BF16(out) => by_index_32(distribution, Fill { source, span, out, level }),
        Values::F8E4M3(out) => by_index_32(distribution, Fill { source, span, out, level }),
        Values::F8E5M2(out) => by_index_32(distribution, Fill { source, span, out, level }),
        Values::F64(out) => {
            let fill = Fill { source, span, out, level };
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

fn by_index_32<E: Element>(distribution: Distribution, fill: Fill<'_, impl GroupSource, E>) {
    match distribution {
        Distribution::Uniform { low, high } if low == high => fill.out.fill(E::from_f64(low)),
        Distribution::Uniform { low, high } => fill.visit32(Uniform32::new(low, high, E::DTYPE)),
        Distribution::Normal { mean, std } => fill.visit32(Normal32::new(mean, std)),
        Distribution::TruncatedNormal { mean, std, low, high, .. } => {
            Truncated::new(mean, std, low, high, E::DTYPE).visit32(E::DTYPE, fill);
        }
        _ => unreachable!("{distribution:?} is not drawn by index"),
    }
}

/// A fill that waits for its distribution.
struct Fill<'a, S, E> {
    source: S,
    span: Span<'a>,
    out: &'a mut [E],
    level: Level,
}

impl<S: GroupSource, E: Element> Visitor32 for Fill<'_, S, E> {
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

/// What makes the `N` values of a group from its words. `#[inline(always)]`.
trait Written<E, const N: usize> {
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [E; N]);
}

impl<E: Element, T: Transform32> Written<E, GROUP_32> for T {
    #[inline(always)]
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [E; GROUP_32]) {
        let mut exact = [0f32; GROUP_32];
        self.apply::<I>(words, &mut exact);
        E::store(&exact, values);
    }
}

impl<T: Transform64> Written<f64, GROUP_64> for T {
    #[inline(always)]
    fn write<I: SimdIsa>(&self, words: &GroupWords, values: &mut [f64; GROUP_64]) {
        self.apply::<I>(words, values);
    }
}

struct Fill32<'a, S, E, T> {
    fill: Fill<'a, S, E>,
    transform: T,
}

impl<S: GroupSource, E: Element, T: Transform32> Kernel for Fill32<'_, S, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { fill: Fill { source, span, out, .. }, transform } = self;
        write_groups::<I, E, GROUP_32>(span, out, source, transform);
    }
}

struct Fill64<'a, S, T> {
    fill: Fill<'a, S, f64>,
    transform: T,
}

impl<S: GroupSource, T: Transform64> Kernel for Fill64<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { fill: Fill { source, span, out, .. }, transform } = self;
        write_groups::<I, f64, GROUP_64>(span, out, source, transform);
    }
}

/// Writes the groups of `N` values that a span needs, each made once if its uses follow one another.
#[inline(always)]
fn write_groups<I: SimdIsa, E: Element, const N: usize>(
    span: Span<'_>,
    mut out: &mut [E],
    mut source: impl GroupSource,
    distribution: impl Written<E, N>,
) {
    let mut words: [GroupWords; 3] = Default::default();
    // The last group of which a part was wanted: the next run may want another part.
    let mut kept = [E::default(); N];
    let mut kept_group = None;
    for (first, length) in span.runs() {
        let (mut now, rest) = std::mem::take(&mut out).split_at_mut(length);
        out = rest;
        let mut group = first / N as u64;
        let mut offset = (first % N as u64) as usize;
        while !now.is_empty() {
            if kept_group == Some(group) {
                let take = now.len().min(N - offset);
                let (part, later) = std::mem::take(&mut now).split_at_mut(take);
                part.copy_from_slice(&kept[offset..offset + take]);
                now = later;
                offset = 0;
                group += 1;
                continue;
            }
            if offset == 0 && now.len() >= 3 * N {
                let (three, later) = std::mem::take(&mut now).split_at_mut(3 * N);
                let three = three.as_chunks_mut::<N>().0;
                source.three_groups::<I>(group, &mut words);
                // Meanwhile the memory for as many more is fetched.
                let mut ahead = Prefetch::new(&*later);
                for (words, values) in words.iter().zip(three) {
                    ahead.next_lines_for(values);
                    distribution.write::<I>(words, values);
                }
                now = later;
                group += 3;
                continue;
            }
            let mut values = [E::default(); N];
            distribution.write::<I>(&source.words::<I>(group), &mut values);
            if offset == 0 && now.len() >= N {
                let (whole, later) = std::mem::take(&mut now).split_first_chunk_mut::<N>().expect("so many");
                *whole = values;
                now = later;
                group += 1;
            } else {
                kept = values;
                kept_group = Some(group);
            }
        }
    }
}
