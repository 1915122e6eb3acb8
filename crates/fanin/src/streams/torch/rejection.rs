//! Rejection sampling with the same results as in torch.
//!
//! torch makes several passes over the tensor. Each pass draws a new proposal for every element. The value of an
//! element is its first accepted proposal.
//!
//! This module gives the same values with fewer memory accesses. The tensor is split into blocks, and all passes over a
//! block are made while the block is in the cache. Every pass after the first reads only the words of the rejected
//! elements, by [`StateReader`]s.

use super::cursor::Cursor;
use super::generator::Torch;
use super::partition::Cost;
use super::rejection_cursors::{KEPT, RejectionCursors};
use super::wide::{Wide, for_each_chunk};
use crate::cancel::check;
use crate::dtype::Values;
use crate::region::RegionSlice;
use crate::rng::{Mt19937, StateReader};
use crate::simd::Level;

/// The number of elements in a block, unless the partition is a single block.
const BLOCK: usize = 1 << 15;

/// A partition of at most this number of elements is a single block. All passes then share one set of state readers,
/// because creating a new set takes about as long as a pass.
const SINGLE_BLOCK: usize = 1 << 20;

/// A distribution of proposals, and the test that rejects proposals.
///
/// torch rounds a proposal to the element type before the test. This crate rounds the values after all passes. The test
/// must therefore reject an unrounded proposal if and only if torch rejects the rounded proposal.
pub(super) trait Trial<W: Wide>: Sync {
    /// Returns the number of words that a pass over the whole tensor takes.
    fn words(&self) -> u64;

    /// Returns the estimated time to draw one value, including its rejected proposals.
    fn cost(&self) -> Cost;

    /// Returns the position of the first word of each sequence of random words in a pass. Positions are counted in
    /// words from the first word of the pass. A pass draws one proposal for each element. Normal proposals have one
    /// sequence. Uniform proposals have two: first the words of all proposals, then the words of all acceptance tests.
    fn sequences(&self) -> Vec<u64>;

    /// Draws the proposals of the first pass over `slice`, and writes them to `out`. Appends the position in `out`
    /// of each rejected proposal to `rejected`. `cursors` has one cursor for each sequence of words.
    fn first_pass(
        &self,
        cursors: &mut [Cursor<'_, W>],
        slice: RegionSlice<'_>,
        out: &mut [W],
        rejected: &mut Vec<u32>,
    );

    /// Tests the proposals of the first pass, which `out` already contains. Appends the position of each rejected
    /// proposal to `rejected`.
    fn test(&self, out: &[W], rejected: &mut Vec<u32>);

    /// Draws the proposals of a later pass, and writes them to `out`. `indices` contains the row-major indices of the
    /// elements in the tensor. Sets `rejected[k]` to true if the k-th proposal is rejected, and to false otherwise.
    /// `readers` has one state reader for each sequence of words.
    fn later_pass(&self, readers: &mut [StateReader], indices: &[u64], out: &mut [W], rejected: &mut [bool]);
}

/// The result of drawing one partition: the number of passes, and copies of the generator. A partition is a range of
/// consecutive values of the fill, which one thread draws.
struct Drawn {
    /// The number of passes, not counting the first, until all values of the partition were accepted.
    later_passes: u64,
    /// A copy of the generator at the end of the last pass. `None` if no pass after the first one was needed.
    after_last: Option<Mt19937>,
    /// A copy of the generator after the first pass over the partition, and the position of this copy: the number of
    /// words since the start of the last sequence of words (see [`Trial::sequences`]). `None` if the caller of
    /// [`Torch::reject`] drew the first pass.
    after_first: Option<(Mt19937, u64)>,
}

impl Torch {
    /// Fills `out` with the values of `slice` by rejection sampling. A pass draws one proposal for each element of the
    /// whole tensor. The generator advances to the end of the last pass that the values of `slice` need. Returns the
    /// number of words by which the generator has advanced.
    ///
    /// If `begun` is true, the caller has drawn the first pass: `out` contains the proposals, and the next word of the
    /// generator is the first word of the second pass.
    pub(super) fn reject<W: Wide>(
        &mut self,
        trial: &dyn Trial<W>,
        slice: RegionSlice<'_>,
        out: Values<'_>,
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
        // The product saturates only for tensors that are too large to be drawn as a whole. `Torch::peek_region` draws
        // regions of such tensors, and ignores the product.
        (passes + u64::from(!begun)).saturating_mul(words)
    }
}

/// Draws the values of one partition by rejection sampling. A pass draws one proposal for each element (see the module
/// documentation). `slice` selects the elements of the partition, and `out` is the memory of their values. If `begun`
/// is false, the next word of `engine` is the first word of the first pass. If `begun` is true, the caller has drawn
/// the first pass: `out` contains the proposals, and the next word of `engine` is the first word of the second pass.
fn draw_partition<W: Wide>(
    trial: &dyn Trial<W>,
    (level, engine): (Level, &Mt19937),
    slice: RegionSlice<'_>,
    out: Values<'_>,
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
    let mut cursors: Vec<Cursor<'_, W>> =
        engines.iter_mut().map(|engine| Cursor::new(engine, level)).collect();
    let start = || {
        let before = if begun { 0 } else { trial.words() };
        sequences
            .iter()
            .map(|words| StateReader::new(engine.clone(), level).renumbered_from(before + words))
            .collect()
    };
    // If the partition is a single block, no state readers are stored, because no later block would use them.
    let max_kept = if single { 0 } else { KEPT };
    let mut later_cursors = RejectionCursors::new(start, trial.words(), max_kept);
    let mut rejected = Rejected::default();
    for_each_chunk::<W>(level, out, (block, begun), &mut |first, out| {
        check();
        let slice = slice.slice(first, out.len());
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
    });
    let end = trial.words() - sequences.last().expect("a pass has a sequence");
    let (later_passes, farthest) = later_cursors.finish();
    let after_last = farthest.and_then(|mut last| last.pop()).map(|reader| reader.into_engine(end));
    let passed = cursors.last().map(|cursor| cursor.passed);
    drop(cursors);
    let after_first = if begun { None } else { engines.pop().zip(passed) };
    Drawn { later_passes, after_last, after_first }
}

/// The elements of a block that have no accepted proposal yet, and buffers for their next proposals.
#[derive(Default)]
struct Rejected<W> {
    /// The position of each rejected element, counted from the first element of the block.
    positions: Vec<u32>,
    /// The row-major index of each rejected element in the whole tensor.
    indices: Vec<u64>,
    /// The proposals of the current pass, one for each rejected element.
    values: Vec<W>,
    /// For each proposal in `values`, true if the proposal is rejected.
    flags: Vec<bool>,
}

impl<W: Wide> Rejected<W> {
    /// Draws a new proposal for each rejected element, and writes it to `out`, the memory of the block. Then removes
    /// the elements with accepted proposals from `self`.
    fn draw_again(&mut self, trial: &dyn Trial<W>, readers: &mut [StateReader], out: &mut [W]) {
        let count = self.positions.len();
        self.values.resize(count, W::default());
        self.flags.resize(count, false);
        trial.later_pass(readers, &self.indices, &mut self.values, &mut self.flags);
        let (positions, indices) = (&mut self.positions[..count], &mut self.indices[..count]);
        let (values, flags) = (&self.values[..count], &self.flags[..count]);
        let mut left = 0;
        for k in 0..count {
            let (position, index) = (positions[k], indices[k]);
            out[position as usize] = values[k];
            // This avoids a branch. `left` advances only past a rejected element, so an accepted element is
            // overwritten.
            (positions[left], indices[left]) = (position, index);
            left += usize::from(flags[k]);
        }
        self.positions.truncate(left);
        self.indices.truncate(left);
    }
}

/// Appends the position of each `true` in `flags` to `positions`. The position of the first flag is `first`.
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
