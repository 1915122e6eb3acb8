//! Fills of torch tensors that may wait, and how they are done together in the end.
//!
//! `fanin/torch/_defer.py` says which fills wait. Here they have their place in the stream: a generator's state, and how
//! many words of it come before them. One after another a thread takes a stretch of values, moves the generator to
//! where they begin, and fills it while the next thread moves on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use fanin::{DType, Law, Plan, Stream as _, TensorMut, Torch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::memory::{Memory, state_at};
use crate::torch::{Wish, dtype};

/// Values that a thread takes at a time: a multiple of torch's group of sixteen.
const STRETCH: usize = 1 << 20;

const GROUP: usize = 16;

/// How many 32-bit words a fill of `count` contiguous values takes from torch's generator. None for what takes other
/// than words alone (pairs of normals, rejection), and for what torch would refuse.
#[pyfunction]
pub fn torch_words(wish: Wish, dtype: u8, count: usize) -> Option<u64> {
    let (law, dtype) = (wish.law()?, self::dtype(dtype)?);
    Plan::new(&[count], dtype, law).ok()?;
    let double = if dtype == DType::F64 { 2 } else { 1 };
    let words = match law {
        Law::Uniform { .. } => count,
        // A last group that is not whole is drawn afresh; the halves have then not drawn what it replaces.
        Law::Normal { .. } if count >= GROUP => {
            let rest = if count.is_multiple_of(GROUP) { 0 } else { GROUP };
            let half = matches!(dtype, DType::F16 | DType::BF16);
            rest + if half { count / GROUP * GROUP } else { count }
        }
        _ => return None,
    };
    Some(words as u64 * double)
}

/// A fill that waits: law, address, type and number of values; the address of the generator's state, and the words of
/// it that come before.
#[derive(Debug, FromPyObject)]
pub struct Waiting(Wish, usize, u8, usize, usize, u64);

/// A stretch of a fill, from the value `from` on.
struct Stretch<'a> {
    fill: &'a Waiting,
    law: Law,
    dtype: DType,
    from: usize,
    count: usize,
}

/// Hands out the stretches, and beside each the generator where it begins.
struct Queue<'a, I: Iterator<Item = Stretch<'a>>> {
    stretches: I,
    /// The state's address, its generator, and how many words that has moved.
    generator: Option<(usize, Torch, u64)>,
}

impl<'a, I: Iterator<Item = Stretch<'a>>> Queue<'a, I> {
    fn next(&mut self) -> Option<Result<(Stretch<'a>, Torch), fanin::Error>> {
        let stretch = self.stretches.next()?;
        Some(self.generator_at(&stretch).map(|generator| (stretch, generator)))
    }

    fn generator_at(&mut self, stretch: &Stretch<'_>) -> Result<Torch, fanin::Error> {
        let Waiting(_, _, _, _, state, before) = *stretch.fill;
        // Whole groups in front take a word a value, two in f64.
        let inside = stretch.from as u64 * if stretch.dtype == DType::F64 { 2 } else { 1 };
        let wanted = before + inside;
        match &mut self.generator {
            Some((of, torch, at)) if *of == state && *at <= wanted => {
                torch.skip(wanted - *at);
                *at = wanted;
            }
            generator => {
                // SAFETY: Python holds the state of each fill while it waits for us, and nobody writes to it.
                let mut torch = Torch::from_state(unsafe { state_at(state) })?;
                torch.skip(wanted);
                *generator = Some((state, torch, wanted));
            }
        }
        Ok(self.generator.as_ref().expect("set above").1.clone())
    }
}

/// Does the fills that have waited: in the order of their words, on all cores.
///
/// # Errors
/// RuntimeError if one of them cannot be done, which `torch_words` should have found.
#[pyfunction]
pub fn torch_settle(py: Python<'_>, mut fills: Vec<Waiting>) -> PyResult<()> {
    fills.sort_by_key(|fill| (fill.4, fill.5));
    let settled = py.detach(|| settle(&fills));
    settled.map_err(|error| PyRuntimeError::new_err(format!("a fill that had waited failed: {error}")))
}

fn settle(fills: &[Waiting]) -> Result<(), fanin::Error> {
    let stretches = fills.iter().flat_map(|fill| {
        let Waiting(wish, _, dtype, count, _, _) = *fill;
        let (law, dtype) = (wish.law(), self::dtype(dtype));
        let (Some(law), Some(dtype)) = (law, dtype) else { unreachable!("torch_words has read it") };
        // The last stretch keeps a group for what is left over.
        let pieces = count.saturating_sub(GROUP) / STRETCH + 1;
        (0..pieces).map(move |piece| {
            let from = piece * STRETCH;
            let count = if piece + 1 == pieces { count - from } else { STRETCH };
            Stretch { fill, law, dtype, from, count }
        })
    });
    for fill in fills {
        let Waiting(_, address, dtype, count, _, _) = *fill;
        // SAFETY: Python holds the tensor while it waits for us, and it is contiguous.
        let memory =
            unsafe { Memory::new(address, self::dtype(dtype).unwrap_or(DType::F16), vec![count], None) };
        memory.expect_writes();
    }
    let values: usize = fills.iter().map(|fill| fill.3).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(values / STRETCH + 1);
    let queue = Mutex::new(Queue { stretches, generator: None });
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            let Some(next) = next else { break };
            next.and_then(fill_stretch).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        others.into_iter().map(|other| other.join().expect("a fill does not panic")).fold(own, Result::and)
    })
}

fn fill_stretch((stretch, mut torch): (Stretch<'_>, Torch)) -> Result<(), fanin::Error> {
    let Waiting(_, address, _, count, _, _) = *stretch.fill;
    // SAFETY: Python holds the tensor while it waits for us, and it is contiguous; stretches do not overlap.
    let mut memory = unsafe { Memory::new(address, stretch.dtype, vec![count], None) };
    let shape = [stretch.count];
    let plan = Plan::new(&shape, stretch.dtype, stretch.law)?;
    let values = memory.stretch(stretch.from..stretch.from + stretch.count);
    torch.fill(&plan, TensorMut::from_values(values, &shape)?)
}
