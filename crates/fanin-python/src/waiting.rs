//! Fills of torch tensors that may wait, and how they are done together in the end.
//!
//! `fanin/torch/_defer.py` says which fills wait, and has for each the state that torch's generator had before it. The fills
//! are cut into stretches, and each thread takes a run of them, at first long ones: where one begins in the middle of a
//! fill, it moves a generator there, and has it in its place from one stretch to the next.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanin::{CancelToken, DType, Distribution, Plan, Stream as _, Threads, Torch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::attend::attended;
use crate::memory::{Memory, state_at};
use crate::team;
use crate::torch::{ENDLESS, Wish, dtype};

/// Number of values of a stretch: a multiple of [`Torch::GROUP`].
const STRETCH: usize = 1 << 20;

/// How many 32-bit words a fill of `count` contiguous values takes from torch's generator. None for what takes other
/// than words alone (pairs of normals, rejection), and for what torch would refuse.
#[pyfunction]
pub fn torch_words(wish: Wish, dtype: u8, count: usize) -> Option<u64> {
    words_of(wish.distribution()?, self::dtype(dtype)?, count)
}

fn words_of(distribution: Distribution, dtype: DType, count: usize) -> Option<u64> {
    Torch::words(&Plan::new(&[count], dtype, distribution).ok()?)
}

/// A fill that waits: distribution, address, type and number of values, and the address of the generator's state before it.
#[derive(Debug, FromPyObject)]
pub struct Waiting(Wish, usize, u8, usize, usize);

impl Waiting {
    fn distribution(&self) -> (Distribution, DType) {
        let (Some(distribution), Some(dtype)) = (self.0.distribution(), dtype(self.2)) else {
            unreachable!("torch_words has read it")
        };
        (distribution, dtype)
    }

    /// The tensor's memory, of which it is told that it will be written to.
    fn memory(&self) -> Memory {
        let Waiting(_, address, _, count, _) = *self;
        // SAFETY: Python holds the tensor while it waits for us, and it is contiguous.
        let memory = unsafe { Memory::new(address, self.distribution().1, vec![count], None) };
        memory.expect_writes();
        memory
    }

    /// Does this one alone.
    fn settle(&self, threads: Threads) -> Result<(), fanin::Error> {
        let (distribution, dtype) = self.distribution();
        let plan = Plan::new(&[self.3], dtype, distribution)?;
        // SAFETY: Python holds the state while it waits for us, and nobody writes to it.
        let mut torch = Torch::from_state(unsafe { state_at(self.4) })?.with_threads(threads);
        torch.fill(&plan, self.memory().tensor()?)
    }
}

/// A stretch of a fill.
struct Stretch {
    distribution: Distribution,
    dtype: DType,
    address: usize,
    count: usize,
    /// The address of the generator's state before the fill, and the words that come between.
    state: usize,
    before: u64,
    /// How many words it takes.
    words: u64,
}

/// Cuts a fill.
fn stretches(fill: &Waiting) -> impl Iterator<Item = Stretch> {
    let Waiting(_, address, _, count, state) = *fill;
    let (distribution, dtype) = fill.distribution();
    // The last stretch has at least one group, so that it is drawn like the end of the whole fill.
    let pieces = count.saturating_sub(Torch::GROUP) / STRETCH + 1;
    let words = move |count| words_of(distribution, dtype, count).expect("torch_words has counted them");
    (0..pieces).map(move |piece| {
        let from = piece * STRETCH;
        let count = if piece + 1 == pieces { count - from } else { STRETCH };
        // The stretches before this one are whole groups.
        let (address, before, words) = (address + from * dtype.size(), words(from), words(count));
        Stretch { distribution, dtype, address, count, state, before, words }
    })
}

/// Does the fills that have waited, on as many threads as torch has. Their generator has moved on already.
///
/// # Errors
/// RuntimeError if one of them cannot be done, which `torch_words` should have found; KeyboardInterrupt from the middle:
/// nobody knows then which of them have been done.
#[pyfunction]
pub fn torch_settle(py: Python<'_>, fills: Vec<Waiting>) -> PyResult<()> {
    let values: usize = fills.iter().map(|fill| fill.3).sum();
    let endless = values >= ENDLESS;
    let (threads, count) = (team::threads(py, endless), team::count(py).min(values / STRETCH + 1));
    let settle = |token: &CancelToken| match &fills[..] {
        [fill] => fill.settle(threads),
        fills => settle(fills, count, token),
    };
    let settled = if endless { attended(py, settle)? } else { py.detach(|| settle(&CancelToken::new())) };
    settled.map_err(|error| PyRuntimeError::new_err(format!("a fill that had waited failed: {error}")))
}

fn settle(fills: &[Waiting], threads: usize, token: &CancelToken) -> Result<(), fanin::Error> {
    for fill in fills {
        // Before any thread writes.
        fill.memory();
    }
    let stretches: Vec<Stretch> = fills.iter().flat_map(stretches).collect();
    let taken = AtomicUsize::new(0);
    let work = || {
        let mut generator = None;
        while let Some(run) = next_run(&taken, stretches.len(), threads) {
            for stretch in &stretches[run] {
                stretch
                    .fill(&mut generator)
                    .inspect_err(|_| taken.store(stretches.len(), Ordering::Relaxed))?;
            }
        }
        Ok(())
    };
    // A switch that is set is for whoever set it to speak of.
    let guarded = || token.run(work).unwrap_or(Ok(()));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(guarded)).collect();
        let own = guarded();
        others.into_iter().map(|other| other.join().expect("a fill does not panic")).fold(own, Result::and)
    })
}

/// The stretches that a thread does next: long runs first, since each begins with a jump, and single ones in the end, so
/// that the threads end together.
fn next_run(taken: &AtomicUsize, count: usize, threads: usize) -> Option<Range<usize>> {
    let length = |from: usize| ((count - from) / (2 * threads)).max(1);
    let next = |from: usize| (from < count).then(|| from + length(from));
    let from = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
    Some(from..from + length(from))
}

impl Stretch {
    /// Fills it, with a generator that is in its place or not far before it, most often: its state's address, and how many
    /// words it has moved.
    fn fill(&self, generator: &mut Option<(usize, u64, Torch)>) -> Result<(), fanin::Error> {
        if generator.as_ref().is_none_or(|(of, at, _)| *of != self.state || *at > self.before) {
            // SAFETY: Python holds the state of each fill while it waits for us, and nobody writes to it.
            let torch = Torch::from_state(unsafe { state_at(self.state) })?.with_threads(Threads::One);
            *generator = Some((self.state, 0, torch));
        }
        let (_, at, torch) = generator.as_mut().expect("set above");
        torch.advance(self.before - *at);
        *at = self.before + self.words;
        let shape = [self.count];
        // SAFETY: Python holds the tensor while it waits for us, and it is contiguous; stretches do not overlap.
        let mut memory = unsafe { Memory::new(self.address, self.dtype, shape.to_vec(), None) };
        let plan = Plan::new(&shape, self.dtype, self.distribution)?;
        torch.fill(&plan, memory.tensor()?)
    }
}
