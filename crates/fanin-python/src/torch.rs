//! The torch stream on torch's own memory and generator.
//!
//! What is asked for here has been looked at by `fanin/torch/_plain.py`. Whatever this side will not do (a std below
//! zero, overlapping strides, a state that torch would not make) it leaves undone and answers `False`, before a value
//! is written: then torch does it, or raises its own error.

use std::sync::Mutex;

use fanin::{DType, Distribution, Plan, Stream as _, Torch, Truncation};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt as _, PyOnceLock};

use crate::attend::attended;
use crate::memory::{Memory, state_at};
use crate::team::threads;

/// From so many values on other Python threads may run meanwhile: a switch costs microseconds.
const LONG: usize = 1 << 16;

/// From so many values on a fill takes long enough for somebody to want it to end.
pub const ENDLESS: usize = 1 << 25;

/// A distribution as Python names it: 0 uniform(a, b), 1 normal(mean=a, std=b), 2 trunc_normal(mean=a, std=b, c, d),
/// 3 sparse(zeros=a, std=b).
#[derive(Debug, Clone, Copy, FromPyObject)]
pub struct Wish(u8, f64, f64, f64, f64);

impl Wish {
    pub fn distribution(self) -> Option<Distribution> {
        let Wish(kind, a, b, c, d) = self;
        Some(match kind {
            0 => Distribution::Uniform { low: a, high: b },
            1 => Distribution::Normal { mean: a, std: b },
            2 => Distribution::TruncatedNormal {
                mean: a,
                std: b,
                low: c,
                high: d,
                method: Some(Truncation::Rejection),
            },
            3 => Distribution::Sparse { zeros: a as usize, std: b },
            _ => return None,
        })
    }
}

/// The types by their place in `_plain.DTYPES`.
pub fn dtype(code: u8) -> Option<DType> {
    DType::ALL.get(usize::from(code)).copied()
}

/// Between reading a generator's state and setting it no other fill of ours may do so. Other threads that draw by torch
/// need the interpreter, which is not given up meanwhile.
static ALONE: Mutex<()> = Mutex::new(());

static DATA_PTR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The address of the state that `generator.get_state()` gives, and what keeps it.
fn state_of<'py>(generator: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, usize)> {
    let state = generator.call_method0(intern!(generator.py(), "get_state"))?;
    // The method as torch has it: under `fast_init(defer=True)` the one of `Tensor` settles what other threads let wait, and
    // may wait for them.
    let data_ptr = DATA_PTR.get_or_try_init(generator.py(), || -> PyResult<_> {
        let base = generator.py().import("torch._C")?.getattr("TensorBase")?;
        Ok(base.getattr("data_ptr")?.unbind())
    })?;
    let address = data_ptr.bind(generator.py()).call1((&state,))?.extract()?;
    Ok((state, address))
}

/// Draws `wish` into the tensor at `address` from `generator`, and moves that on. `strides` is None for row-major memory.
///
/// False if it would rather not: nothing has been written or drawn then. During a long fill other threads run, and one
/// of them may draw from the generator: then its numbers came first, and the fill is done again from what it left, the
/// last time with nobody running. If Ctrl-C ends it, the generator is where it was, and what the tensor holds nobody knows.
#[pyfunction]
#[allow(
    clippy::too_many_arguments,
    reason = "a tensor taken apart: Python hands over numbers sooner than objects"
)]
pub fn torch_draw(
    wish: Wish,
    address: usize,
    dtype: u8,
    shape: Vec<usize>,
    strides: Option<Vec<i64>>,
    generator: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = generator.py();
    let (Some(distribution), Some(dtype)) = (wish.distribution(), self::dtype(dtype)) else {
        return Ok(false);
    };
    let Ok(plan) = Plan::new(&shape, dtype, distribution) else { return Ok(false) };
    // SAFETY: Python holds the tensor while it waits for us; `_plain.py` took the numbers from it.
    let mut memory = unsafe { Memory::new(address, dtype, shape, strides.as_deref()) };
    memory.expect_writes();
    let endless = may_be_endless(distribution, memory.len());
    if memory.len() >= LONG || endless {
        for _ in 0..3 {
            let (before, address) = state_of(generator)?;
            // SAFETY: `before` holds the state, and nobody else has it.
            let before_bytes = unsafe { state_at(address) };
            let Ok(mut torch) = Torch::from_state(before_bytes) else { return Ok(false) };
            torch = torch.with_threads(threads(py, endless));
            let mut fill = || whole(&plan, &mut memory, &mut torch);
            let filled = if endless { attended(py, |_| fill())? } else { py.detach(&mut fill) };
            if !filled {
                return Ok(false);
            }
            let _alone = ALONE.lock_py_attached(py);
            let (_now, address) = state_of(generator)?;
            // SAFETY: as above.
            if unsafe { state_at(address) } == before_bytes {
                torch.write_state(before_bytes);
                generator.call_method1(intern!(py, "set_state"), (before,))?;
                return Ok(true);
            }
        }
    }
    let _alone = ALONE.lock_py_attached(py);
    let (state, address) = state_of(generator)?;
    // SAFETY: `state` holds it, and nobody else has it.
    let bytes = unsafe { state_at(address) };
    let Ok(torch) = Torch::from_state(bytes) else { return Ok(false) };
    let mut torch = torch.with_threads(threads(py, false));
    if !whole(&plan, &mut memory, &mut torch) {
        return Ok(false);
    }
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (state,))?;
    Ok(true)
}

/// Whether a fill may take long: it is large, or proposals are accepted seldom.
fn may_be_endless(distribution: Distribution, count: usize) -> bool {
    match distribution {
        // With the mean inside, three proposals in ten are accepted at least.
        Distribution::TruncatedNormal { mean, low, high, .. } if !(low..=high).contains(&mean) => true,
        _ => count >= ENDLESS,
    }
}

/// Moves `generator` on by `words` of its words, and gives the state that it had. None if it would rather not.
#[pyfunction]
pub fn torch_pass<'py>(generator: &Bound<'py, PyAny>, words: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = generator.py();
    let _alone = ALONE.lock_py_attached(py);
    let (before, _) = state_of(generator)?;
    let (after, address) = state_of(generator)?;
    // SAFETY: `after` holds the state, and nobody else has it.
    let bytes = unsafe { state_at(address) };
    let Ok(mut torch) = Torch::from_state(bytes) else { return Ok(None) };
    torch.advance(words);
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (after,))?;
    Ok(Some(before))
}

pub fn whole(plan: &Plan, memory: &mut Memory, torch: &mut Torch) -> bool {
    memory.tensor().and_then(|tensor| torch.fill(plan, tensor)).is_ok()
}
