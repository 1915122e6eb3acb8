//! Draws uniform and normal values in sequence, as torch draws them.

use super::cursor::Cursor;
use super::generator::Torch;
use super::interval::Interval;
use super::partition::Cost;
use super::variates::unit64;
use super::wide::{Wide, for_each_chunk};
use super::words::{BULK, Groups, words_of_uniforms};
use crate::cancel::check;
use crate::dtype::{DType, Values};
use crate::region::RegionSlice;
use crate::rng::Mt19937;

/// The number of values that are drawn between two checks for cancellation. Drawing this many values takes a few
/// milliseconds. The number is a multiple of the group size.
pub(super) const CHECK_EVERY: usize = 1 << 20;

/// States whether torch draws normal values in groups (see [`Groups`]) or one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByGroups {
    /// True if torch draws the values of the tensor in groups. This is the case if the tensor is contiguous and has at
    /// least [`BULK`] values.
    pub(super) tensor: bool,
    /// True if `torch.empty_like(tensor)` is contiguous and has at least [`BULK`] values. torch then draws the
    /// proposals in groups in every rejection pass after the first.
    pub(super) copy: bool,
}

impl ByGroups {
    /// Returns how torch draws a contiguous tensor with `count` values.
    pub(super) fn contiguous(count: usize) -> Self {
        Self { tensor: count >= BULK, copy: count >= BULK }
    }
}

/// The part of a tensor that is filled. `dtype` and `count` describe the whole tensor, because they determine from
/// which random words each value is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// The element type for which torch computes the values. The values can be stored in another type.
    pub(super) dtype: DType,
    /// The number of values of the whole tensor.
    pub(super) count: usize,
    pub(super) slice: RegionSlice<'a>,
}

/// A function that fills a slice with consecutive values, given a cursor and the row-major index of the first value.
type Draw<'a, W> = dyn Fn(&mut Cursor<'_, W>, u64, &mut [W]) + Sync + 'a;

/// The number of f32 values in the buffer for a type narrower than f32. The buffer fits in the L1 cache. The number is
/// a multiple of the group size, and of 624, the number of words in a state of the generator.
const NARROW: usize = 2496;

impl Torch {
    /// Fills `out` with a part of a tensor of uniform values in [low, high). `bounds` is `(low, high)`.
    ///
    /// Advances the generator past the words for the whole tensor, and returns the number of these words.
    pub(super) fn uniforms<W: Wide>(&mut self, bounds: (f64, f64), part: Part<'_>, out: Values<'_>) -> u64 {
        let words = words_of_uniforms(W::DTYPE, part.count);
        let interval = Interval::new(part.dtype, bounds);
        self.draw_runs::<W>(Cost::of_uniforms::<W>(), (part.slice, words), out, &|cursor, first, out| {
            cursor.uniforms(interval, first, out)
        });
        words
    }

    /// Fills `out` with a part of a tensor of normal values. `distribution` is `(mean, std)`.
    ///
    /// If `by_groups` is true, the tensor must have at least [`BULK`] values. The method advances the generator past
    /// the words for the whole tensor, and returns the number of these words.
    ///
    /// If `by_groups` is false, the values are drawn one by one. The part must be the whole tensor. The method does not
    /// count the words, and returns 0.
    pub(super) fn normals<W: Wide>(
        &mut self,
        distribution: (f64, f64),
        part: Part<'_>,
        out: Values<'_>,
        by_groups: bool,
    ) -> u64 {
        if !by_groups {
            self.normals_one_by_one::<W>(distribution, out);
            return 0;
        }
        let groups = Groups::new(part.dtype, part.count);
        self.draw_runs::<W>(
            Cost::of_normals::<W>(),
            (part.slice, groups.total),
            out,
            &|cursor, first, out| {
                cursor.normals(&groups, distribution, first, out);
            },
        );
        groups.total
    }

    /// Fills `out` with normal values that are drawn one by one. torch draws strided tensors and tensors of fewer than
    /// [`BULK`] values in this way.
    pub(super) fn normals_one_by_one<W: Wide>(&mut self, (mean, std): (f64, f64), out: Values<'_>) {
        for_each_chunk::<W>(self.level(), out, (CHECK_EVERY, false), &mut |_, out| {
            check();
            for value in out {
                *value = W::from_f64(self.single_normal().mul_add(std, mean));
            }
        });
    }

    /// Fills `out` with the values of `slice` on several threads, and advances the generator by `words` words.
    pub(super) fn draw_runs<W: Wide>(
        &mut self,
        cost: Cost,
        (slice, words): (RegionSlice<'_>, u64),
        out: Values<'_>,
        draw: &Draw<'_, W>,
    ) {
        let level = self.level();
        let length = if out.dtype() == W::DTYPE { CHECK_EVERY } else { NARROW };
        let work = |engine: &mut Mt19937, begin: usize, out: Values<'_>| {
            let mut cursor = Cursor::new(engine, level);
            for_each_chunk::<W>(level, out, (length, false), &mut |first, out| {
                check();
                let slice = slice.slice(begin + first, out.len());
                slice.for_each_run(out, |first, out| draw(&mut cursor, first, out));
            });
            cursor.passed
        };
        let mut partitions = self.partitions(cost, out);
        let passed = if partitions.len() == 1 {
            let (begin, out) = partitions.remove(0);
            work(&mut self.engine, begin, out)
        } else {
            let engine = &self.engine;
            let engines = self.threads.map(partitions, |(begin, out)| {
                let mut engine = engine.clone();
                let passed = work(&mut engine, begin, out);
                (engine, passed)
            });
            let (engine, passed) = engines.into_iter().last().expect("there is at least one partition");
            self.engine = engine;
            passed
        };
        self.engine.advance_at(level, words - passed);
    }

    /// Draws one standard normal value. Computes two values at a time, and stores the second value for the next call.
    #[allow(
        clippy::disallowed_methods,
        reason = "torch calls the C library, and bit-identical values need the same functions"
    )]
    fn single_normal(&mut self) -> f64 {
        if let Some(second) = self.next_normal.take() {
            return second;
        }
        let u1 = unit64(self.engine.word64());
        let u2 = unit64(self.engine.word64());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let angle = std::f64::consts::TAU * u1;
        self.next_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }
}
