//! Draws uniform and normal values in sequence, as torch draws them.

use super::cursor::Cursor;
use super::generator::Torch;
use super::partition::Cost;
use super::variates::unit64;
use super::words::{BULK, Groups, words_of_uniforms};
use crate::cancel::check;
use crate::dtype::Element;
use crate::region::RegionSlice;
use crate::rng::Mt19937;

/// Number of values that are drawn between two checks for cancellation. This number is a multiple of the group size.
/// Drawing this many values takes a few milliseconds.
pub(super) const CHECK_EVERY: usize = 1 << 20;

/// Whether torch draws normal values by groups (see [`Groups`]) or one by one. This depends on the strides of the
/// tensor and on its number of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByGroups {
    /// Whether torch draws the values of the tensor itself by groups. This is the case if the tensor is contiguous and
    /// has at least [`BULK`] values.
    pub(super) tensor: bool,
    /// Whether torch draws by groups in all rejection passes but the first. In each of these passes torch allocates a
    /// new tensor by `torch.empty_like`, and draws the proposals into the new tensor. It draws them by groups if the
    /// new tensor is contiguous and has at least [`BULK`] values.
    pub(super) copy: bool,
}

impl ByGroups {
    /// Returns whether torch draws a tensor of `count` values in contiguous memory by groups.
    pub(super) fn contiguous(count: usize) -> Self {
        Self { tensor: count >= BULK, copy: count >= BULK }
    }
}

impl Torch {
    /// Fills `out` with the values of `slice`, which is a part of a tensor of `count` uniform values on [low, high).
    /// `interval` is `(low, high)`.
    ///
    /// The generator moves past the words of the whole tensor. Returns the number of these words.
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

    /// Fills `out` with the values of `slice`, which is a part of a tensor of `count` normal values. `distribution` is
    /// `(mean, std)`.
    ///
    /// If `by_groups` is true, `count` must be at least [`BULK`]. The generator moves past the words of the whole
    /// tensor, and the number of these words is returned. If `by_groups` is false, `slice` must be the whole tensor.
    /// The values are drawn one by one, and 0 is returned because their words are not counted.
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

    /// Fills `out` with normal values that are drawn one by one. torch does this for strided tensors, and for tensors
    /// of fewer than [`BULK`] values.
    pub(super) fn normals_one_by_one<E: Element>(&mut self, (mean, std): (f64, f64), out: &mut [E]) {
        for out in out.chunks_mut(CHECK_EVERY) {
            check();
            for value in out {
                *value = E::from_f64(self.single_normal().mul_add(std, mean));
            }
        }
    }

    /// Fills `out` with the values of `slice` on several threads. Each thread draws one partition with its own copy of
    /// the generator, which first jumps to the words of the partition.
    ///
    /// `draw(cursor, first, out)` must fill `out` with the consecutive values from the row-major index `first` on. This
    /// method moves the generator by `words` words in total.
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

    /// Draws one standard normal value. Two values are computed at a time. The second value is stored, and the next
    /// call returns it.
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
