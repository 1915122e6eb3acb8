//! Deferred fills of torch tensors. A deferred fill is performed later, together with others, on all threads. To
//! *flush* a deferred fill means to perform it.
//!
//! `fanin/torch/_deferred/queue.py` decides which fills are deferred. When the queue defers a fill, it stores the state
//! of torch's generator, and then advances the generator past the fill. A flush splits the fills into chunks. Each
//! thread repeatedly takes a *run*, which is a range of consecutive chunks, and fills these chunks in order. If a run
//! begins in the middle of a fill, the thread first advances its own generator from the stored state to the run's first
//! chunk. After each chunk, this generator is in the right state for the fill's next chunk.

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
/// Returns None in these cases:
///
/// - The fill uses rejection sampling. The number then depends on the values drawn.
/// - The fill draws fewer than 16 normal values. These are drawn in pairs, and the number depends on whether torch's
///   generator has stored the second value of an earlier pair.
/// - torch raises an error for the request.
/// - `dtype` is not f32, f64, f16 or bf16.
#[pyfunction]
pub fn torch_words(request: &Bound<'_, FillRequest>, dtype: &str, count: usize) -> Option<u64> {
    words_of(request.get().distribution, torch_dtype(dtype)?, count)
}

/// Returns the result of [`torch_words`] for a fill of `count` values with a distribution.
fn words_of(distribution: Distribution, dtype: DType, count: usize) -> Option<u64> {
    Torch::words(&Plan::new(&[count], dtype, distribution).ok()?)
}

/// A deferred fill of contiguous memory.
#[pyclass(frozen, module = "fanin._fanin", from_py_object)]
#[derive(Debug, Clone, Copy)]
pub struct DeferredFill {
    distribution: Distribution,
    dtype: DType,
    /// The address of the first value.
    address: usize,
    count: usize,
    /// The address of the stored generator state from before the fill.
    state: usize,
}

#[pymethods]
impl DeferredFill {
    /// Describes a fill of `count` values. `address` is the address of the first value. `state` is the address of the
    /// stored generator state from before the fill.
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

    /// The number of values of the fill.
    #[getter]
    fn count(&self) -> usize {
        self.count
    }
}

impl DeferredFill {
    fn memory(&self) -> Memory {
        // SAFETY: the Python caller keeps the tensor alive during the flush, and the tensor is contiguous.
        unsafe { Memory::new(self.address, self.dtype, vec![self.count], None) }
    }

    /// Performs this fill alone.
    fn flush(&self, threads: Threads) -> Result<(), fanin::Error> {
        let plan = Plan::new(&[self.count], self.dtype, self.distribution)?;
        // SAFETY: the Python caller keeps the state tensor alive during the flush, and no other code writes to it.
        let mut torch = Torch::from_state(unsafe { state_at(self.state) })?.with_threads(threads);
        let mut memory = self.memory();
        memory.advise_huge_pages();
        torch.fill(&plan, memory.tensor()?)
    }

    /// Returns the chunks of the fill, in order.
    fn chunks(self) -> impl Iterator<Item = Chunk> {
        let Self { distribution, dtype, address, count, state } = self;
        // torch uses another algorithm for fewer than `Torch::GROUP` normal values. The last of several chunks
        // therefore has at least `Torch::GROUP` values. Every other chunk has `CHUNK` values.
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
    /// The address of the stored generator state from before the whole fill.
    state: usize,
    /// The number of 32-bit words that the earlier chunks of the fill take from the generator.
    words_before: u64,
    /// The number of 32-bit words that this chunk takes from the generator.
    words: u64,
}

/// A generator that began in the state at the address `state`, and has advanced by `words` 32-bit words since then.
struct Generator {
    state: usize,
    words: u64,
    torch: Torch,
}

/// Performs deferred fills on as many threads as torch uses. Does not change torch's generator, which was advanced when
/// each fill was deferred.
///
/// # Errors
/// - RuntimeError if a fill fails. A fill for which `torch_words` returned a number does not fail.
/// - KeyboardInterrupt if Ctrl-C interrupts the fills. Some values are then written and others are not.
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

/// Performs several fills on `threads` threads. Cancelling `token` stops all fills.
fn flush_all(fills: &[DeferredFill], threads: usize, token: &CancelToken) -> Result<(), fanin::Error> {
    for fill in fills {
        // Huge pages must be requested before any thread writes to the memory.
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
    // `token.run` returns None if a signal has cancelled the token. The caller then never gets this `Ok(())`:
    // `interruptible` returns the exception of the signal handler, such as KeyboardInterrupt.
    let cancellable = || token.run(work).unwrap_or(Ok(()));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(cancellable)).collect();
        let own = cancellable();
        others.into_iter().map(|other| other.join().expect("a fill does not panic")).fold(own, Result::and)
    })
}

/// Takes the next run, and returns the indices of its chunks, or None if no chunks are left. `taken` counts the taken
/// chunks. `count` is the number of all chunks.
///
/// The first runs are long, because each jump of the generator to the start of a run takes time. The last runs are
/// single chunks, so that all threads finish at about the same time.
fn next_run(taken: &AtomicUsize, count: usize, threads: usize) -> Option<Range<usize>> {
    let length = |start: usize| ((count - start) / (2 * threads)).max(1);
    let next = |start: usize| (start < count).then(|| start + length(start));
    let start = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
    Some(start..start + length(start))
}

impl Chunk {
    /// Fills the chunk with the thread's `generator`. Replaces `generator` if it belongs to another fill or is past the
    /// chunk.
    fn fill(&self, generator: &mut Option<Generator>) -> Result<(), fanin::Error> {
        let usable =
            |generator: &Generator| generator.state == self.state && generator.words <= self.words_before;
        if !generator.as_ref().is_some_and(usable) {
            // SAFETY: the Python caller keeps the state tensor alive during the flush, and no other code writes to it.
            let torch = Torch::from_state(unsafe { state_at(self.state) })?.with_threads(Threads::One);
            *generator = Some(Generator { state: self.state, words: 0, torch });
        }
        let generator = generator.as_mut().expect("set above");
        generator.torch.advance(self.words_before - generator.words);
        generator.words = self.words_before + self.words;
        let shape = [self.count];
        // SAFETY: the Python caller keeps the tensor alive during the flush. The tensor is contiguous, and its chunks
        // do not overlap.
        let mut memory = unsafe { Memory::new(self.address, self.dtype, shape.to_vec(), None) };
        let plan = Plan::new(&shape, self.dtype, self.distribution)?;
        generator.torch.fill(&plan, memory.tensor()?)
    }
}
