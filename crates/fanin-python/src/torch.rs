//! The torch stream on torch's own memory and generator.
//!
//! What is asked for here has been looked at by `fanin/torch/_plain.py`. Whatever this side will not do (a std below
//! zero, overlapping strides, a state that torch would not make) it leaves undone and answers `False`, before a value
//! is written: then torch does it, or raises its own error.

use fanin::{DType, Law, Plan, Stream as _, TensorMut, Torch, Truncation};
use pyo3::prelude::*;

use crate::memory::{Memory, state_at};

/// Values between two looks at Ctrl-C: some ten milliseconds.
const STRETCH: usize = 1 << 24;

/// From so many values on other Python threads may run meanwhile: a switch costs microseconds.
const LONG: usize = 1 << 16;

/// torch's normals come in groups of so many.
const GROUP: usize = 16;

/// A law as Python names it: 0 uniform(a, b), 1 normal(mean=a, std=b), 2 trunc_normal(mean=a, std=b, c, d),
/// 3 sparse(zeros=a, std=b).
#[derive(Debug, Clone, Copy, FromPyObject)]
pub struct Wish(u8, f64, f64, f64, f64);

impl Wish {
    pub fn law(self) -> Option<Law> {
        let Wish(kind, a, b, c, d) = self;
        Some(match kind {
            0 => Law::Uniform { low: a, high: b },
            1 => Law::Normal { mean: a, std: b },
            2 => {
                Law::TruncatedNormal { mean: a, std: b, low: c, high: d, method: Some(Truncation::Rejection) }
            }
            3 => Law::Sparse { zeros: a as usize, std: b },
            _ => return None,
        })
    }
}

/// The types by their place in `_plain.DTYPES`.
pub fn dtype(code: u8) -> Option<DType> {
    [DType::F32, DType::F64, DType::F16, DType::BF16].get(usize::from(code)).copied()
}

/// Draws `wish` into the tensor at `address`, from the generator whose 5056 bytes of state are at `state`, and leaves
/// there the state after. `strides` is None for row-major memory.
///
/// False if it would rather not: nothing has been written or drawn then.
#[pyfunction]
#[allow(
    clippy::too_many_arguments,
    reason = "a tensor taken apart: Python hands over numbers sooner than objects"
)]
pub fn torch_draw(
    py: Python<'_>,
    wish: Wish,
    address: usize,
    dtype: u8,
    shape: Vec<usize>,
    strides: Option<Vec<isize>>,
    state: usize,
) -> PyResult<bool> {
    let (Some(law), Some(dtype)) = (wish.law(), self::dtype(dtype)) else { return Ok(false) };
    let Ok(plan) = Plan::new(&shape, dtype, law) else { return Ok(false) };
    // SAFETY: Python holds the tensor and the state while it waits for us; `_plain.py` took the numbers from them.
    let (mut memory, state) = unsafe { (Memory::new(address, dtype, shape, strides), state_at(state)) };
    let Ok(mut torch) = Torch::from_state(state) else { return Ok(false) };
    let drawn = if memory.len() < LONG {
        whole(&plan, &mut memory, &mut torch)
    } else if matches!(law, Law::Uniform { .. } | Law::Normal { .. }) && memory.is_contiguous() {
        in_stretches(py, dtype, law, &mut memory, &mut torch)?
    } else {
        py.detach(|| whole(&plan, &mut memory, &mut torch))
    };
    if drawn {
        state.copy_from_slice(&torch.state());
    }
    Ok(drawn)
}

/// Moves the generator whose state is at `state` over `words` of its words.
#[pyfunction]
pub fn torch_skip(py: Python<'_>, state: usize, words: u64) -> bool {
    // SAFETY: Python holds the state while it waits for us.
    let state = unsafe { state_at(state) };
    let Ok(mut torch) = Torch::from_state(state) else { return false };
    py.detach(|| torch.skip(words));
    state.copy_from_slice(&torch.state());
    true
}

fn whole(plan: &Plan, memory: &mut Memory, torch: &mut Torch) -> bool {
    memory.tensor().and_then(|tensor| torch.fill(plan, tensor)).is_ok()
}

/// Row-major memory a stretch at a time: the sequence of values does not know where it is cut, as long as groups stay
/// whole and the last stretch has one.
fn in_stretches(
    py: Python<'_>,
    dtype: DType,
    law: Law,
    memory: &mut Memory,
    torch: &mut Torch,
) -> PyResult<bool> {
    let count = memory.len();
    let mut at = 0;
    while at < count {
        let left = count - at;
        let now = if left < STRETCH + GROUP { left } else { STRETCH };
        let shape = [now];
        let Ok(plan) = Plan::new(&shape, dtype, law) else { return Ok(false) };
        let stretch = memory.stretch(at..at + now);
        let drawn = py
            .detach(|| TensorMut::from_values(stretch, &shape).and_then(|tensor| torch.fill(&plan, tensor)));
        if drawn.is_err() {
            return Ok(false);
        }
        at += now;
        py.check_signals()?;
    }
    Ok(true)
}
