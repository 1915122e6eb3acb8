//! Functions that fill torch tensors with values of the torch stream, drawn from a torch generator.
//!
//! The caller `fanin/torch/_torch_stream.py` passes only dense tensors in CPU memory. If a function does not support an
//! argument, it writes nothing and returns `False` or `None`. Examples are a negative std, overlapping strides and an
//! invalid generator state. The Python caller then calls torch, which performs the fill or raises its own error.

use std::sync::Mutex;

use fanin::{DType, Distribution, Plan, Stream as _, Torch, Truncation};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt as _, PyOnceLock};
use pyo3::types::{PyFloat, PyInt};

use crate::interrupt::{self, interruptible};
use crate::memory::{Memory, state_at};
use crate::openmp::threads;

/// A fill of at least this many values releases the GIL. Releasing the GIL costs microseconds, which is too much for
/// most smaller fills.
const RELEASE_GIL: usize = 1 << 16;

/// A request to draw values of a distribution from torch's generator.
///
/// The constructors return None for an argument that is not a Python float or int, or that is too large for a float.
/// torch must then perform the fill. torch accepts some of these arguments, and raises its own error for the others.
#[pyclass(frozen, module = "fanin._fanin")]
#[derive(Debug)]
pub struct FillRequest {
    pub distribution: Distribution,
}

/// Returns the value of a Python float or int as an `f64`. Returns None for any other object, and for an int that is
/// too large for a float.
fn number(value: &Bound<'_, PyAny>) -> Option<f64> {
    let is_number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
    if is_number { value.extract().ok() } else { None }
}

#[pymethods]
impl FillRequest {
    /// Requests the uniform distribution on `low..high` (`high` exclusive).
    #[staticmethod]
    fn uniform(low: &Bound<'_, PyAny>, high: &Bound<'_, PyAny>) -> Option<FillRequest> {
        let distribution = Distribution::Uniform { low: number(low)?, high: number(high)? };
        Some(FillRequest { distribution })
    }

    /// Requests the normal distribution with mean `mean` and standard deviation `std`.
    #[staticmethod]
    fn normal(mean: &Bound<'_, PyAny>, std: &Bound<'_, PyAny>) -> Option<FillRequest> {
        let distribution = Distribution::Normal { mean: number(mean)?, std: number(std)? };
        Some(FillRequest { distribution })
    }

    /// Requests the normal distribution truncated to [low, high], drawn by rejection sampling as in torch.
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

    /// Requests a matrix with `zeros` zeros in each column. The other elements are normal with mean 0 and standard
    /// deviation `std`.
    #[staticmethod]
    fn sparse(zeros: usize, std: &Bound<'_, PyAny>) -> Option<FillRequest> {
        Some(FillRequest { distribution: Distribution::Sparse { zeros, std: number(std)? } })
    }
}

/// Returns the element type that is named f32, f64, f16 or bf16. Returns None for any other name.
pub fn torch_dtype(name: &str) -> Option<DType> {
    [DType::F32, DType::F64, DType::F16, DType::BF16].into_iter().find(|dtype| dtype.name() == name)
}

/// A lock that fanin holds while it updates a generator's state. Without this lock, two fills of fanin could draw the
/// same random words. torch does not acquire the lock. torch cannot begin a draw during an update, because the updating
/// thread holds the GIL. But torch releases the GIL while it draws. So the lock does not prevent the overlap of an
/// update with a torch draw that began before the update.
static GENERATOR_LOCK: Mutex<()> = Mutex::new(());

static DATA_PTR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Returns the tensor that `generator.get_state()` returns, and the address of its bytes.
fn state_of<'py>(generator: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, usize)> {
    let state = generator.call_method0(intern!(generator.py(), "get_state"))?;
    // `fast_init(defer=True)` patches `Tensor.data_ptr`, but not `TensorBase.data_ptr`. The patched method performs
    // deferred fills, and may wait for a lock.
    let data_ptr = DATA_PTR.get_or_try_init(generator.py(), || -> PyResult<_> {
        let base = generator.py().import("torch._C")?.getattr("TensorBase")?;
        Ok(base.getattr("data_ptr")?.unbind())
    })?;
    let address = data_ptr.bind(generator.py()).call1((&state,))?.extract()?;
    Ok((state, address))
}

/// Fills the tensor at `address` from `generator`, and advances the generator. `strides` is None for row-major memory.
///
/// Returns True if the tensor was filled. Returns False if torch must perform the fill. In this case, nothing is
/// written or drawn.
///
/// A large fill releases the GIL, so another thread may draw from the generator during the fill. If another thread has
/// drawn, the fill is repeated from the generator's new state. After three such attempts, the fill holds the GIL.
///
/// If Ctrl-C interrupts a fill, the generator has the state that it had before the fill. Some elements of the tensor
/// have new values, and the others keep their old values.
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
    // SAFETY: `_torch_stream.py` reads address, shape and strides from the tensor, and keeps the tensor alive during
    // the call.
    let mut memory = unsafe { Memory::new(address, dtype, shape, strides.as_deref()) };
    memory.advise_huge_pages();
    let long = may_be_long(distribution, memory.len());
    if memory.len() >= RELEASE_GIL || long {
        for _ in 0..3 {
            let (before, address) = state_of(generator)?;
            // SAFETY: `before` owns the bytes of the state, and no other code refers to this tensor.
            let before_bytes = unsafe { state_at(address) };
            let Ok(mut torch) = Torch::from_state(before_bytes) else { return Ok(false) };
            torch = torch.with_threads(threads(py, long));
            let mut fill = || try_fill(&plan, &mut memory, &mut torch);
            let filled = if long { interruptible(py, |_| fill())? } else { py.detach(&mut fill) };
            if !filled {
                return Ok(false);
            }
            let _lock = GENERATOR_LOCK.lock_py_attached(py);
            let (_now, address) = state_of(generator)?;
            // SAFETY: `_now` owns the bytes of the state, and no other code refers to this tensor.
            if unsafe { state_at(address) } == before_bytes {
                torch.write_state(before_bytes);
                generator.call_method1(intern!(py, "set_state"), (before,))?;
                return Ok(true);
            }
        }
    }
    let _lock = GENERATOR_LOCK.lock_py_attached(py);
    let (state, address) = state_of(generator)?;
    // SAFETY: `state` owns the bytes, and no other code refers to this tensor.
    let bytes = unsafe { state_at(address) };
    let Ok(torch) = Torch::from_state(bytes) else { return Ok(false) };
    let mut torch = torch.with_threads(threads(py, false));
    if !try_fill(&plan, &mut memory, &mut torch) {
        return Ok(false);
    }
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (state,))?;
    Ok(true)
}

/// Returns whether Ctrl-C must be able to interrupt a fill. This is the case if the fill has many values, or if
/// rejection sampling accepts few proposals.
fn may_be_long(distribution: Distribution, count: usize) -> bool {
    let proposals = match distribution {
        // If the mean is within the bounds, rejection sampling accepts at least 30 % of the proposals, which is fast.
        Distribution::TruncatedNormal { mean, std, low, high, .. } if !(low..=high).contains(&mean) => {
            // Proposals are uniform on `low..high`. There, the normal density has its peak at the bound nearest to the
            // mean. At the distance `near` from this bound, the density is 1/e of the peak.
            let nearest = (low - mean).max(mean - high) / std;
            let near = std * 2.0 / (nearest.hypot(2f64.sqrt()) + nearest);
            // torch draws a proposal for every element in each pass, until each element has an accepted proposal.
            let passes =
                (high - low) / near.min(high - low) * std::f64::consts::E * (1.0 + (count as f64).ln());
            count as f64 * passes
        }
        _ => count as f64,
    };
    proposals.is_nan() || proposals >= interrupt::MIN_VALUES as f64
}

/// Fills `memory` according to `plan`, and returns true. If [`Torch`] does not support the fill, writes nothing and
/// returns false.
fn try_fill(plan: &Plan, memory: &mut Memory, torch: &mut Torch) -> bool {
    memory.tensor().and_then(|tensor| torch.fill(plan, tensor)).is_ok()
}

/// Advances `generator` by `words` 32-bit words. Returns the generator's state before the call, as a tensor. If this
/// state is not valid, returns None and does not change the generator.
#[pyfunction]
pub fn torch_advance<'py>(generator: &Bound<'py, PyAny>, words: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = generator.py();
    let _lock = GENERATOR_LOCK.lock_py_attached(py);
    let (before, _) = state_of(generator)?;
    let (after, address) = state_of(generator)?;
    // SAFETY: `after` owns the bytes of the state, and no other code refers to this tensor.
    let bytes = unsafe { state_at(address) };
    let Ok(mut torch) = Torch::from_state(bytes) else { return Ok(None) };
    torch.advance(words);
    torch.write_state(bytes);
    generator.call_method1(intern!(py, "set_state"), (after,))?;
    Ok(Some(before))
}
