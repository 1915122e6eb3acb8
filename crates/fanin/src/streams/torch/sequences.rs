//! Sequences of uniform and normal values, as torch draws them.

use super::cursor::Cursor;
use super::generator::Torch;
use super::partition::Cost;
use super::variates::unit64;
use super::words::{BULK, Groups, words_of_uniforms};
use crate::cancel::check;
use crate::dtype::Element;
use crate::region::RegionSlice;
use crate::rng::Mt19937;

/// Number of values that are drawn between two checks for cancellation: whole groups, which take some milliseconds.
pub(super) const CHECK_EVERY: usize = 1 << 20;

/// Whether torch draws normals by groups or one by one, which depends on the memory of the tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByGroups {
    /// In the tensor itself: it is contiguous and has at least [`BULK`] values.
    pub(super) tensor: bool,
    /// In a new tensor that torch allocates like this one: that tensor is contiguous and has at least [`BULK`] values.
    pub(super) copy: bool,
}

impl ByGroups {
    /// For contiguous memory of `count` values.
    pub(super) fn contiguous(count: usize) -> Self {
        Self { tensor: count >= BULK, copy: count >= BULK }
    }
}

impl Torch {
    /// Fills `out` with the values of `slice`, a part of a tensor of `count` uniform values on [low, high).
    ///
    /// Moves the generator past the whole tensor, and returns the number of its words.
    pub(super) fn uniforms<E: Element>(
        &mut self,
        interval: (f64, f64),
        slice: RegionSlice<'_>,
        count: usize,
        out: &mut [E],
    ) -> u64 {
        let words = words_of_uniforms(E::DTYPE, count);
        self.draw_runs(Cost::of_uniforms::<E>(), (slice, words), out, |cursor, first, out| {
            cursor.uniforms(interval, first, out)
        });
        words
    }

    /// Fills `out` with the values of `slice`, a part of a tensor of `count` normal values.
    ///
    /// With `by_groups`, `count` must be at least [`BULK`]; this moves the generator past the whole tensor, and returns
    /// the number of its words. Otherwise the values are drawn one by one, `slice` must be the whole tensor, and 0 is
    /// returned.
    pub(super) fn normals<E: Element>(
        &mut self,
        distribution: (f64, f64),
        slice: RegionSlice<'_>,
        count: usize,
        out: &mut [E],
        by_groups: bool,
    ) -> u64 {
        if !by_groups {
            self.normals_one_by_one(distribution, out);
            return 0;
        }
        let groups = Groups::new(E::DTYPE, count);
        self.draw_runs(Cost::of_normals::<E>(), (slice, groups.total), out, |cursor, first, out| {
            cursor.normals(&groups, distribution, first, out);
        });
        groups.total
    }

    /// Fills `out` with normal values as torch fills strided memory, and memory of fewer than [`BULK`] values: one by
    /// one, in pairs.
    pub(super) fn normals_one_by_one<E: Element>(&mut self, (mean, std): (f64, f64), out: &mut [E]) {
        for out in out.chunks_mut(CHECK_EVERY) {
            check();
            for value in out {
                *value = E::from_f64(self.single_normal().mul_add(std, mean));
            }
        }
    }

    /// Fills `out` with the values of `slice` on several threads. Each thread draws one partition with a generator of
    /// its own, which has jumped to the partition.
    ///
    /// `draw` is called with a cursor, the row-major index at which a run begins, and the memory of the run. Afterwards
    /// the generator has passed `words` words.
    pub(super) fn draw_runs<E: Element>(
        &mut self,
        cost: Cost,
        (slice, words): (RegionSlice<'_>, u64),
        out: &mut [E],
        draw: impl Fn(&mut Cursor<'_, E>, u64, &mut [E]) + Sync,
    ) {
        let level = self.level();
        let work = |engine: &mut Mt19937, begin: usize, out: &mut [E]| {
            let mut cursor = Cursor::new(engine, level);
            slice.slice(begin, out.len()).for_each_run(out, |first, out| {
                for (number, out) in out.chunks_mut(CHECK_EVERY).enumerate() {
                    check();
                    draw(&mut cursor, first + (number * CHECK_EVERY) as u64, out);
                }
            });
            cursor.passed
        };
        let mut partitions = self.partitions(cost, out);
        let passed = if let [(begin, out)] = partitions.as_mut_slice() {
            work(&mut self.engine, *begin, out)
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

    /// Draws a standard normal value. Values are drawn in pairs; the second one is kept for the next call.
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
