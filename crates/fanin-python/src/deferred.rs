//! Deferred fills of torch tensors, flushed together on all threads.
//!
//! `fanin/torch/_deferred_queue.py` decides which fills are deferred, and keeps for each the state of torch's generator
//! before it. A flush cuts the fills into chunks, and each thread takes runs of chunks, long ones first. If a run begins
//! in the middle of a fill, the thread advances a generator to that position; from one chunk to the next the generator is
//! in position already.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanin::{CancelToken, DType, Distribution, Plan, Stream as _, Threads, Torch};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::interrupt::{self, interruptible};
use crate::memory::{Memory, state_at};
use crate::openmp;
use crate::torch::{FillRequest, torch_dtype};

/// The number of values of a chunk: a multiple of [`Torch::GROUP`].
const CHUNK: usize = 1 << 20;

/// Returns the number of 32-bit words that a fill of `count` contiguous values takes from torch's generator.
///
/// Returns None if that number depends on the values drawn (rejection) or the generator keeps more than words (pairs of
/// normals), and for a request that torch would refuse.
#[pyfunction]
pub fn torch_words(request: &Bound<'_, FillRequest>, dtype: &str, count: usize) -> Option<u64> {
    words_of(request.get().distribution, torch_dtype(dtype)?, count)
}

fn words_of(distribution: Distribution, dtype: DType, count: usize) -> Option<u64> {
    Torch::words(&Plan::new(&[count], dtype, distribution).ok()?)
}

/// A fill of contiguous memory that was deferred.
#[pyclass(frozen, module = "fanin._fanin", from_py_object)]
#[derive(Debug, Clone, Copy)]
pub struct DeferredFill {
    distribution: Distribution,
    dtype: DType,
    /// The address of the first value.
    address: usize,
    count: usize,
    /// The address of the generator's state before the fill.
    state: usize,
}

#[pymethods]
impl DeferredFill {
    /// Describes a fill of `count` values at `address`; `state` is the address of the generator's state before it.
    #[new]
    fn new(
        request: &Bound<'_, FillRequest>,
        address: usize,
        dtype: &str,
        count: usize,
        state: usize,
    ) -> PyResult<Self> {
        let distribution = request.get().distribution;
        match torch_dtype(dtype) {
            Some(dtype) if words_of(distribution, dtype, count).is_some() => {
                Ok(Self { distribution, dtype, address, count, state })
            }
            _ => Err(PyValueError::new_err("this fill cannot be deferred: torch_words returns None for it")),
        }
    }

    /// The number of values.
    #[getter]
    fn count(&self) -> usize {
        self.count
    }
}

impl DeferredFill {
    fn memory(&self) -> Memory {
        // SAFETY: Python holds the tensor during the flush, and the tensor is contiguous.
        unsafe { Memory::new(self.address, self.dtype, vec![self.count], None) }
    }

    /// Fills the tensor.
    fn flush(&self, threads: Threads) -> Result<(), fanin::Error> {
        let plan = Plan::new(&[self.count], self.dtype, self.distribution)?;
        // SAFETY: Python holds the state during the flush, and no other code writes to it.
        let mut torch = Torch::from_state(unsafe { state_at(self.state) })?.with_threads(threads);
        let mut memory = self.memory();
        memory.advise_huge_pages();
        torch.fill(&plan, memory.tensor()?)
    }

    /// Cuts the fill into chunks.
    fn chunks(self) -> impl Iterator<Item = Chunk> {
        let Self { distribution, dtype, address, count, state } = self;
        // The last chunk has at least one whole group beside an incomplete one. The chunks before it consist of whole
        // groups.
        let chunks = count.saturating_sub(Torch::GROUP) / CHUNK + 1;
        let words = move |count| words_of(distribution, dtype, count).expect("checked by DeferredFill::new");
        (0..chunks).map(move |index| {
            let start = index * CHUNK;
            let count = if index + 1 == chunks { count - start } else { CHUNK };
            let (address, words_before, words) = (address + start * dtype.size(), words(start), words(count));
            Chunk { distribution, dtype, address, count, state, words_before, words }
        })
    }
}

/// A chunk of a deferred fill.
struct Chunk {
    distribution: Distribution,
    dtype: DType,
    address: usize,
    count: usize,
    /// The address of the generator's state before the fill.
    state: usize,
    /// The number of words from that state to the first word of the chunk.
    words_before: u64,
    /// The number of words that the chunk takes.
    words: u64,
}

/// A generator that has advanced by `words` words from the state at the address `state`.
struct Generator {
    state: usize,
    words: u64,
    torch: Torch,
}

/// Flushes deferred fills on as many threads as torch uses. torch's generator has advanced past them already.
///
/// # Errors
/// RuntimeError if one of the fills fails, which `torch_words` rules out; KeyboardInterrupt for Ctrl-C, when some of the
/// fills are done and others are not.
#[pyfunction]
pub fn torch_flush(py: Python<'_>, fills: Vec<DeferredFill>) -> PyResult<()> {
    let values: usize = fills.iter().map(|fill| fill.count).sum();
    let long = values >= interrupt::MIN_VALUES;
    let (threads, count) = (openmp::threads(py, long), openmp::count(py).min(values / CHUNK + 1));
    let flush = |token: &CancelToken| match &fills[..] {
        [fill] => fill.flush(threads),
        fills => flush_all(fills, count, token),
    };
    let flushed = if long { interruptible(py, flush)? } else { py.detach(|| flush(&CancelToken::new())) };
    flushed.map_err(|error| PyRuntimeError::new_err(format!("a deferred fill failed: {error}")))
}

fn flush_all(fills: &[DeferredFill], threads: usize, token: &CancelToken) -> Result<(), fanin::Error> {
    for fill in fills {
        // Before any thread writes.
        fill.memory().advise_huge_pages();
    }
    let chunks: Vec<Chunk> = fills.iter().flat_map(|fill| fill.chunks()).collect();
    let taken = AtomicUsize::new(0);
    let work = || {
        let mut generator = None;
        while let Some(run) = next_run(&taken, chunks.len(), threads) {
            for chunk in &chunks[run] {
                chunk.fill(&mut generator).inspect_err(|_| taken.store(chunks.len(), Ordering::Relaxed))?;
            }
        }
        Ok(())
    };
    // `run` returns None if the token is cancelled: `interruptible` then raises what cancelled it.
    let cancellable = || token.run(work).unwrap_or(Ok(()));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(cancellable)).collect();
        let own = cancellable();
        others.into_iter().map(|other| other.join().expect("a fill does not panic")).fold(own, Result::and)
    })
}

/// Returns the chunks that a thread fills next: long runs first, since each begins with a jump of the generator, and
/// single chunks at the end, so that all threads finish together.
fn next_run(taken: &AtomicUsize, count: usize, threads: usize) -> Option<Range<usize>> {
    let length = |start: usize| ((count - start) / (2 * threads)).max(1);
    let next = |start: usize| (start < count).then(|| start + length(start));
    let start = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
    Some(start..start + length(start))
}

impl Chunk {
    /// Fills the chunk. `generator` is the thread's generator, which is usually in position or a little before it.
    fn fill(&self, generator: &mut Option<Generator>) -> Result<(), fanin::Error> {
        let usable =
            |generator: &Generator| generator.state == self.state && generator.words <= self.words_before;
        if !generator.as_ref().is_some_and(usable) {
            // SAFETY: Python holds the state of each fill during the flush, and no other code writes to it.
            let torch = Torch::from_state(unsafe { state_at(self.state) })?.with_threads(Threads::One);
            *generator = Some(Generator { state: self.state, words: 0, torch });
        }
        let generator = generator.as_mut().expect("set above");
        generator.torch.advance(self.words_before - generator.words);
        generator.words = self.words_before + self.words;
        let shape = [self.count];
        // SAFETY: Python holds the tensor during the flush, and the tensor is contiguous; chunks do not overlap.
        let mut memory = unsafe { Memory::new(self.address, self.dtype, shape.to_vec(), None) };
        let plan = Plan::new(&shape, self.dtype, self.distribution)?;
        generator.torch.fill(&plan, memory.tensor()?)
    }
}
