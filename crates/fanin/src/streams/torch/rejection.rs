//! Passes over a tensor, in each of which torch draws for all places and keeps what it wants for those still refused.
//!
//! torch draws one pass after another. Here a block of places goes through all passes while it is in the cache: each pass
//! has an engine of its own, which walks through the pass's words and tells those of the places that are left.

use super::Torch;
use super::cursors::{KEPT, RejectionCursors};
use super::draw::Cursor;
use super::partition::Cost;
use crate::cancel::check;
use crate::dtype::Element;
use crate::rng::{Mt19937, StateReader};
use crate::simd::Level;
use crate::streams::fill::Span;

/// Places that go through the passes together.
const BLOCK: usize = 1 << 15;

/// So many go in one block, and one engine from pass to pass: to set an engine up for each pass would cost as much as the
/// passes.
const ONE_BLOCK: usize = 1 << 20;

/// What is drawn for a place, and when it is refused.
pub(super) trait Trial<E: Element>: Sync {
    /// Words of a pass.
    fn words(&self) -> u64;

    /// What a value costs, through all passes.
    fn cost(&self) -> Cost;

    /// Words of a pass before each of the sequences that it consists of.
    fn sequences(&self) -> Vec<u64>;

    /// Draws the first pass for a span of places, with a cursor in each sequence, and finds the places that are refused.
    fn begin(&self, cursors: &mut [Cursor<'_, E>], span: Span<'_>, out: &mut [E], refused: &mut Vec<u32>);

    /// Finds the places that are refused after a first pass that was drawn by other means.
    fn test(&self, out: &[E], refused: &mut Vec<u32>);

    /// Draws another pass for these places of the tensor, with a walker in each sequence, and marks those that are refused.
    fn again(&self, walkers: &mut [StateReader], places: &[u64], out: &mut [E], refused: &mut [bool]);
}

/// How far a part has come.
struct Passed {
    /// Passes after the first one.
    passes: u64,
    /// The engine at the end of the last of them, if there was one.
    again: Option<Mt19937>,
    /// The engine at the part's end in the last sequence of the first pass, and how many words of that these are.
    first: Option<(Mt19937, u64)>,
}

impl Torch {
    /// Draws a span of a tensor by trial; if `begun`, the first pass has been drawn and stands in `out`. Gives the words
    /// that were passed for this span, without those of a first pass that was drawn before.
    pub(super) fn reject<E: Element>(
        &mut self,
        trial: &impl Trial<E>,
        span: Span<'_>,
        out: &mut [E],
        begun: bool,
    ) -> u64 {
        let (level, engine) = (self.level(), &self.engine);
        let parts = self.threads.map(self.shares(trial.cost(), out), |(begin, out)| {
            part(trial, (level, engine), span.part(begin, out.len()), out, begun)
        });
        let passes = parts.iter().map(|part| part.passes).max().unwrap_or(0);
        let words = trial.words();
        if passes > 0 {
            let farthest = parts.into_iter().find(|part| part.passes == passes);
            self.engine = farthest.and_then(|part| part.again).expect("it has drawn");
        } else if let Some((engine, at)) = parts.into_iter().last().and_then(|part| part.first) {
            self.engine = engine;
            let before = *trial.sequences().last().expect("a pass has words");
            self.engine.advance_at(level, words - before - at);
        }
        // So many that they cannot be counted are words of a whole whose passes nobody lives to see; a box asks for none.
        (passes + u64::from(!begun)).saturating_mul(words)
    }
}

/// Draws a part of a span, from the engine at the whole's beginning.
fn part<E: Element>(
    trial: &impl Trial<E>,
    (level, engine): (Level, &Mt19937),
    span: Span<'_>,
    out: &mut [E],
    begun: bool,
) -> Passed {
    let sequences = trial.sequences();
    let mut engines: Vec<Mt19937> = Vec::new();
    for &before in &sequences {
        let mut engine = engine.clone();
        if !begun {
            engine.advance_at(level, before);
        }
        engines.push(engine);
    }
    let whole = out.len() <= ONE_BLOCK;
    let block = if whole { out.len().max(1) } else { BLOCK };
    let mut cursors: Vec<Cursor<'_, E>> =
        engines.iter_mut().map(|engine| Cursor::new(engine, level)).collect();
    let start = || {
        let before = if begun { 0 } else { trial.words() };
        sequences
            .iter()
            .map(|words| StateReader::new(engine.clone(), level).renumbered_from(before + words))
            .collect()
    };
    // A single block comes to each pass once.
    let kept = if whole { 0 } else { KEPT };
    let mut walks = RejectionCursors::new(start, trial.words(), kept);
    let (mut places, mut global) = (Vec::new(), Vec::new());
    let (mut values, mut refused) = (Vec::new(), Vec::new());
    for (number, out) in out.chunks_mut(block).enumerate() {
        check();
        let span = span.part(number * block, out.len());
        places.clear();
        if begun {
            trial.test(out, &mut places);
        } else {
            trial.begin(&mut cursors, span, out, &mut places);
        }
        span.globals(&places, &mut global);
        walks.begin();
        while !places.is_empty() {
            check();
            values.resize(places.len(), E::default());
            refused.resize(places.len(), false);
            trial.again(walks.next(), &global, &mut values, &mut refused);
            let left = keep(&mut places, &mut global, &values, &refused, out);
            places.truncate(left);
            global.truncate(left);
        }
    }
    let end = trial.words() - sequences.last().expect("a pass has words");
    let (passes, farthest) = walks.end();
    let again = farthest.and_then(|mut last| last.pop()).map(|walker| walker.into_engine(end));
    let at = cursors.last().map(|cursor| cursor.at);
    drop(cursors);
    let first = if begun { None } else { engines.pop().zip(at) };
    Passed { passes, again, first }
}

/// Writes the values to their places, and moves those that are refused to the front, beside their numbers in the tensor.
/// Gives how many these are.
fn keep<E: Element>(
    places: &mut [u32],
    global: &mut [u64],
    values: &[E],
    refused: &[bool],
    out: &mut [E],
) -> usize {
    let count = places.len();
    let (global, values, refused) = (&mut global[..count], &values[..count], &refused[..count]);
    let mut left = 0;
    for k in 0..count {
        let (place, index) = (places[k], global[k]);
        out[place as usize] = values[k];
        // Kept or written over by the next: no branch.
        (places[left], global[left]) = (place, index);
        left += usize::from(refused[k]);
    }
    left
}

/// Appends the places of the marks, of which this is the first.
pub(super) fn marked(marks: &[bool], first: u32, places: &mut Vec<u32>) {
    let begin = places.len();
    places.resize(begin + marks.len(), 0);
    let found = &mut places[begin..];
    let mut count = 0;
    for (place, &mark) in (first..).zip(marks) {
        found[count] = place;
        count += usize::from(mark);
    }
    places.truncate(begin + count);
}
