//! Rejection sampling of a whole tensor.
//!
//! torch makes passes over the tensor. In each pass it draws a proposal for every element, and uses the proposals of
//! the elements whose values so far were all rejected. Here a block of elements goes through all passes while it is in
//! the cache. Each pass has state readers of its own, which read the words of the rejected elements only.

use super::cursor::Cursor;
use super::generator::Torch;
use super::partition::Cost;
use super::rejection_cursors::{KEPT, RejectionCursors};
use crate::cancel::check;
use crate::dtype::Element;
use crate::region::RegionSlice;
use crate::rng::{Mt19937, StateReader};
use crate::simd::Level;

/// Number of elements that go through the passes together.
const BLOCK: usize = 1 << 15;

/// Up to this many elements form a single block, and one set of state readers moves from pass to pass: to set up state
/// readers for each pass would take as long as the passes.
const SINGLE_BLOCK: usize = 1 << 20;

/// A way to draw proposals and to reject them.
pub(super) trait Trial<E: Element>: Sync {
    /// Number of words of a pass.
    fn words(&self) -> u64;

    /// The time that a value takes, through all passes.
    fn cost(&self) -> Cost;

    /// For each sequence of words that a pass consists of, the number of words of the pass before the sequence.
    fn sequences(&self) -> Vec<u64>;

    /// Fills `out` with the proposals of the first pass for `slice`, with a cursor in each sequence, and appends the
    /// positions in `slice` of the rejected ones to `rejected`.
    fn first_pass(
        &self,
        cursors: &mut [Cursor<'_, E>],
        slice: RegionSlice<'_>,
        out: &mut [E],
        rejected: &mut Vec<u32>,
    );

    /// Appends to `rejected` the positions of rejected values, where the first pass was drawn before.
    fn test(&self, out: &[E], rejected: &mut Vec<u32>);

    /// Fills `out` with the proposals of a later pass for the elements at `indices` of the tensor, with a state reader
    /// in each sequence, and sets `rejected` for each.
    fn later_pass(&self, readers: &mut [StateReader], indices: &[u64], out: &mut [E], rejected: &mut [bool]);
}

/// The generators after the values of a partition were drawn.
struct Drawn {
    /// Number of passes after the first.
    later_passes: u64,
    /// The generator at the end of the last of these passes, if there was one.
    after_last: Option<Mt19937>,
    /// The generator at the end of the partition in the last sequence of the first pass, and the number of words of
    /// that sequence that it has passed. `None` if the first pass was drawn before.
    after_first: Option<(Mt19937, u64)>,
}

impl Torch {
    /// Fills `out` with the values of `slice` by rejection. If `begun`, `out` already holds the proposals of the first
    /// pass.
    ///
    /// Moves the generator past as many passes as the values of `slice` need. Returns the number of words of these
    /// passes, without a first pass that was drawn before.
    pub(super) fn reject<E: Element>(
        &mut self,
        trial: &impl Trial<E>,
        slice: RegionSlice<'_>,
        out: &mut [E],
        begun: bool,
    ) -> u64 {
        let (level, engine) = (self.level(), &self.engine);
        let drawn = self.threads.map(self.partitions(trial.cost(), out), |(begin, out)| {
            draw_partition(trial, (level, engine), slice.slice(begin, out.len()), out, begun)
        });
        let passes = drawn.iter().map(|drawn| drawn.later_passes).max().unwrap_or(0);
        let words = trial.words();
        if passes > 0 {
            let farthest = drawn.into_iter().find(|drawn| drawn.later_passes == passes);
            self.engine = farthest.and_then(|drawn| drawn.after_last).expect("there was a later pass");
        } else if let Some((engine, passed)) = drawn.into_iter().last().and_then(|drawn| drawn.after_first) {
            self.engine = engine;
            let before = *trial.sequences().last().expect("a pass has a sequence");
            self.engine.advance_at(level, words - before - passed);
        }
        // Saturates only for a tensor that is too large to be drawn in a lifetime. A region of one ignores the number.
        (passes + u64::from(!begun)).saturating_mul(words)
    }
}

/// Draws a partition of a slice. `engine` is the generator at the beginning of the tensor.
fn draw_partition<E: Element>(
    trial: &impl Trial<E>,
    (level, engine): (Level, &Mt19937),
    slice: RegionSlice<'_>,
    out: &mut [E],
    begun: bool,
) -> Drawn {
    let sequences = trial.sequences();
    let mut engines: Vec<Mt19937> = Vec::new();
    for &before in &sequences {
        let mut engine = engine.clone();
        if !begun {
            engine.advance_at(level, before);
        }
        engines.push(engine);
    }
    let single = out.len() <= SINGLE_BLOCK;
    let block = if single { out.len().max(1) } else { BLOCK };
    let mut cursors: Vec<Cursor<'_, E>> =
        engines.iter_mut().map(|engine| Cursor::new(engine, level)).collect();
    let start = || {
        let before = if begun { 0 } else { trial.words() };
        sequences
            .iter()
            .map(|words| StateReader::new(engine.clone(), level).renumbered_from(before + words))
            .collect()
    };
    // A single block reads each pass once: no state readers need to be kept.
    let max_kept = if single { 0 } else { KEPT };
    let mut later_cursors = RejectionCursors::new(start, trial.words(), max_kept);
    let mut rejected = Rejected::default();
    for (number, out) in out.chunks_mut(block).enumerate() {
        check();
        let slice = slice.slice(number * block, out.len());
        rejected.positions.clear();
        if begun {
            trial.test(out, &mut rejected.positions);
        } else {
            trial.first_pass(&mut cursors, slice, out, &mut rejected.positions);
        }
        slice.global_indices(&rejected.positions, &mut rejected.indices);
        later_cursors.begin_block();
        while !rejected.positions.is_empty() {
            check();
            rejected.draw_again(trial, later_cursors.next_pass(), out);
        }
    }
    let end = trial.words() - sequences.last().expect("a pass has a sequence");
    let (later_passes, farthest) = later_cursors.finish();
    let after_last = farthest.and_then(|mut last| last.pop()).map(|reader| reader.into_engine(end));
    let passed = cursors.last().map(|cursor| cursor.passed);
    drop(cursors);
    let after_first = if begun { None } else { engines.pop().zip(passed) };
    Drawn { later_passes, after_last, after_first }
}

/// The elements of a block whose values so far were all rejected, and the memory for their next proposals.
#[derive(Default)]
struct Rejected<E> {
    /// Positions in the block.
    positions: Vec<u32>,
    /// Row-major indices in the tensor.
    indices: Vec<u64>,
    /// The proposals of a pass, one for each element.
    values: Vec<E>,
    /// Whether each of these is rejected.
    flags: Vec<bool>,
}

impl<E: Element> Rejected<E> {
    /// Draws a later pass: writes the proposals to `out`, the values of the block, and keeps the elements that are
    /// rejected again.
    fn draw_again(&mut self, trial: &impl Trial<E>, readers: &mut [StateReader], out: &mut [E]) {
        let count = self.positions.len();
        self.values.resize(count, E::default());
        self.flags.resize(count, false);
        trial.later_pass(readers, &self.indices, &mut self.values, &mut self.flags);
        let (positions, indices) = (&mut self.positions[..count], &mut self.indices[..count]);
        let (values, flags) = (&self.values[..count], &self.flags[..count]);
        let mut left = 0;
        for k in 0..count {
            let (position, index) = (positions[k], indices[k]);
            out[position as usize] = values[k];
            // Without a branch: an accepted element is overwritten by the next one.
            (positions[left], indices[left]) = (position, index);
            left += usize::from(flags[k]);
        }
        self.positions.truncate(left);
        self.indices.truncate(left);
    }
}

/// Appends to `positions` the position of each `true` in `flags`, counted from `first`.
pub(super) fn append_positions(flags: &[bool], first: u32, positions: &mut Vec<u32>) {
    let begin = positions.len();
    positions.resize(begin + flags.len(), 0);
    let found = &mut positions[begin..];
    let mut count = 0;
    for (position, &flag) in (first..).zip(flags) {
        found[count] = position;
        count += usize::from(flag);
    }
    positions.truncate(begin + count);
}
