//! Fills of torch's own memory on the torch stream, from torch's own generator.
//!
//! The Python module `fanin/torch/_torch_stream.py` checks that a tensor is dense CPU memory before it calls this module.
//! A request that torch would refuse or that cannot be served here (a negative std, overlapping strides, an invalid
//! generator state) returns `False` or `None` before a value is written: torch then does the fill, or raises its own error.

use std::sync::Mutex;

use fanin::{DType, Distribution, Plan, Stream as _, Torch, Truncation};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt as _, PyOnceLock};
use pyo3::types::{PyFloat, PyInt};

use crate::interrupt::{self, interruptible};
use crate::memory::{Memory, state_at};
use crate::openmp::threads;

/// The number of values from which the GIL is released during a fill. The release costs microseconds.
const RELEASE_GIL: usize = 1 << 16;

/// A distribution to be drawn from torch's generator.
///
/// The constructors return None for arguments that are no Python float or int, or too large for a float: torch accepts
/// some of them and raises its own error for the rest.
#[pyclass(frozen, module = "fanin._fanin")]
#[derive(Debug)]
pub struct FillRequest {
    pub distribution: Distribution,
}

/// Reads a Python float or int, subclasses included.
fn number(value: &Bound<'_, PyAny>) -> Option<f64> {
    let is_number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
    if is_number { value.extract().ok() } else { None }
}

#[pymethods]
impl FillRequest {
    /// Requests the uniform distribution on `low..high`.
    #[staticmethod]
    fn uniform(low: &Bound<'_, PyAny>, high: &Bound<'_, PyAny>) -> Option<FillRequest> {
        let distribution = Distribution::Uniform { low: number(low)?, high: number(high)? };
        Some(FillRequest { distribution })
    }

    /// Requests a normal distribution.
    #[staticmethod]
    fn normal(mean: &Bound<'_, PyAny>, std: &Bound<'_, PyAny>) -> Option<FillRequest> {
        let distribution = Distribution::Normal { mean: number(mean)?, std: number(std)? };
        Some(FillRequest { distribution })
    }

    /// Requests a normal distribution truncated to [low, high], by torch's rejection sampling.
    #[staticmethod]
    fn trunc_normal(
        mean: &Bound<'_, PyAny>,
        std: &Bound<'_, PyAny>,
        low: &Bound<'_, PyAny>,
        high: &Bound<'_, PyAny>,
    ) -> Option<FillRequest> {
        let (mean, std, low, high) = (number(mean)?, number(std)?, number(low)?, number(high)?);
        let method = Some(Truncation::Rejection);
        Some(FillRequest { distribution: Distribution::TruncatedNormal { mean, std, low, high, method } })
    }

    /// Requests a normal matrix of mean 0 with `zeros` zeros in each column.
    #[staticmethod]
    fn sparse(zeros: usize, std: &Bound<'_, PyAny>) -> Option<FillRequest> {
        Some(FillRequest { distribution: Distribution::Sparse { zeros, std: number(std)? } })
    }
}

/// Returns the type of this name: f32, f64, f16 or bf16.
pub fn torch_dtype(name: &str) -> Option<DType> {
    [DType::F32, DType::F64, DType::F16, DType::BF16].into_iter().find(|dtype| dtype.name() == name)
}

/// Held from reading a generator's state to setting it, so that fills of two threads do not draw the same words. torch's
/// own draws need the GIL, which is not released in between.
static GENERATOR_LOCK: Mutex<()> = Mutex::new(());

static DATA_PTR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Returns the tensor that `generator.get_state()` returns, and the address of its bytes.
fn state_of<'py>(generator: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, usize)> {
    let state = generator.call_method0(intern!(generator.py(), "get_state"))?;
    // torch's own method: under `fast_init(defer=True)`, `Tensor.data_ptr` is patched, and flushes the deferred fills of
    // other threads, for which it may have to wait.
    let data_ptr = DATA_PTR.get_or_try_init(generator.py(), || -> PyResult<_> {
        let base = generator.py().import("torch._C")?.getattr("TensorBase")?;
        Ok(base.getattr("data_ptr")?.unbind())
    })?;
    let address = data_ptr.bind(generator.py()).call1((&state,))?.extract()?;
    Ok((state, address))
}

/// Fills the tensor at `address` from `generator`, and advances the generator. `strides` is None for row-major memory.
///
/// Returns False if the request cannot be served; nothing is written or drawn then. Other threads run during a long fill,
/// and one of them may draw from the generator. The fill is then repeated from the state that the other thread left, and
/// the fourth time with the GIL held. If Ctrl-C interrupts a fill, the generator is as before, and the tensor holds old
/// and new values.
#[pyfunction]
pub fn torch_fill(
    request: &Bound<'_, FillRequest>,
    address: usize,
    dtype: &str,
    shape: Vec<usize>,
    strides: Option<Vec<i64>>,
    generator: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    let py = generator.py();
    let distribution = request.get().distribution;
    let Some(dtype) = torch_dtype(dtype) else { return Ok(false) };
    let Ok(plan) = Plan::new(&shape, dtype, distribution) else { return Ok(false) };
    // SAFETY: the caller holds the tensor during the call; `_torch_stream.py` takes address, shape and strides from it.
    let mut memory = unsafe { Memory::new(address, dtype, shape, strides.as_deref()) };
    memory.advise_huge_pages();
    let long = may_be_long(distribution, memory.len());
    if memory.len() >= RELEASE_GIL || long {
        for _ in 0..3 {
            let (before, address) = state_of(generator)?;
            // SAFETY: `before` owns the state's bytes, and no other code has it.
            let before_bytes = unsafe { state_at(address) };
            let Ok(mut torch) = Torch::from_state(before_bytes) else { return Ok(false) };
            torch = torch.with_threads(threads(py, long));
            let mut fill = || is_filled(&plan, &mut memory, &mut torch);
            let filled = if long { interruptible(py, |_| fill())? } else { py.detach(&mut fill) };
            if !filled {
                return Ok(false);
            }
            let _lock = GENERATOR_LOCK.lock_py_attached(py);
            let (_now, address) = state_of(generator)?;
            // SAFETY: as above, for `_now`.
            if unsafe { state_at(address) } == before_bytes {
                torch.write_state(before_bytes);
                generator.call_method1(intern!(py, "set_state"), (before,))?;
                return Ok(true);
            }
        }
    }
    let _lock = GENERATOR_LOCK.lock_py_attached(py);
    let (state, address) = state_of(generator)?;
    // SAFETY: `state` owns the bytes, and no other code has it.
    let bytes = unsafe { state_at(address) };
    let Ok(torch) = Torch::from_state(bytes) else { return Ok(false) };
    let mut torch = torch.with_threads(threads(py, false));
    if !is_filled(&plan, &mut memory, &mut torch) {
        return Ok(false);
    }
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (state,))?;
    Ok(true)
}

/// Returns whether a fill may take long: it is large, or few proposals are accepted.
fn may_be_long(distribution: Distribution, count: usize) -> bool {
    match distribution {
        // If the mean is within the bounds, at least three in ten proposals are accepted.
        Distribution::TruncatedNormal { mean, low, high, .. } if !(low..=high).contains(&mean) => true,
        _ => count >= interrupt::MIN_VALUES,
    }
}

/// Fills `memory`. Returns false if the request is invalid; nothing is written then.
fn is_filled(plan: &Plan, memory: &mut Memory, torch: &mut Torch) -> bool {
    memory.tensor().and_then(|tensor| torch.fill(plan, tensor)).is_ok()
}

/// Advances `generator` by `words` 32-bit words, and returns the state tensor that it had before. Returns None, and leaves
/// the generator as it is, if its state is not valid.
#[pyfunction]
pub fn torch_advance<'py>(generator: &Bound<'py, PyAny>, words: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = generator.py();
    let _lock = GENERATOR_LOCK.lock_py_attached(py);
    let (before, _) = state_of(generator)?;
    let (after, address) = state_of(generator)?;
    // SAFETY: `after` owns the state's bytes, and no other code has it.
    let bytes = unsafe { state_at(address) };
    let Ok(mut torch) = Torch::from_state(bytes) else { return Ok(None) };
    torch.advance(words);
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (after,))?;
    Ok(Some(before))
}
