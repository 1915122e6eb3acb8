//! The native stream on memory that Python owns.

use fanin::init::Init;
use fanin::{Initializer as _, Native, Stream as _, TensorMut};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::dlpack::Array;
use crate::fault;
use crate::initializer::{Initializer, read_spec, warn};
use crate::memory::Memory;

/// Fewest values for which other Python threads may run meanwhile: sooner done than said.
const SLOW: usize = 1 << 13;

/// Values between two looks at Ctrl-C.
const STRETCH: usize = 1 << 22;

/// A seed as Python has it: -2^63 to 2^64 - 1, negative ones as torch takes them.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub u64);

impl FromPyObject<'_, '_> for Seed {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        object
            .extract::<u64>()
            .or_else(|_| object.extract::<i64>().map(|seed| seed as u64))
            .map(Seed)
            .map_err(|error| {
                let py = object.py();
                let message =
                    format!("seed = {}: must be a whole number from -2^63 to 2^64 - 1", object.as_any());
                if error.is_instance_of::<PyOverflowError>(py) {
                    PyValueError::new_err(message)
                } else {
                    PyTypeError::new_err(message)
                }
            })
    }
}

/// Which part of a larger tensor an array is: the whole's shape, and the index at which it begins.
#[derive(Debug, Default)]
pub struct Place {
    pub whole: Option<Vec<usize>>,
    pub start: Option<Vec<usize>>,
}

/// Fills `memory` with the values of `init` for the tensor `name` under `seed`.
///
/// # Errors
/// What is wrong with the request, before a value is written; KeyboardInterrupt from the middle of a long fill.
pub fn fill_memory(
    py: Python<'_>,
    memory: &mut Memory,
    init: Init,
    seed: Seed,
    name: &str,
    place: &Place,
) -> PyResult<()> {
    let shape = memory.shape().to_vec();
    let whole = place.whole.clone().unwrap_or_else(|| shape.clone());
    let start = place.start.clone().unwrap_or_else(|| vec![0; whole.len()]);
    let plan = init.resolve(&whole, memory.dtype()).map_err(fault::library)?;
    warn(py, &plan)?;
    if plan.len() < SLOW {
        let tensor = memory.tensor().map_err(fault::library)?;
        return Native::new(seed.0).tensor(name).fill_box(&plan, &start, tensor).map_err(fault::library);
    }
    memory.expect_writes();
    // Factorizing, for `orthogonal`, is most of the work.
    let prepared = py.detach(|| Native::new(seed.0).tensor(name).prepare(&plan)).map_err(fault::library)?;
    if memory.len() <= STRETCH || !memory.is_contiguous() || shape.first().is_none_or(|&rows| rows < 2) {
        let tensor = memory.tensor().map_err(fault::library)?;
        return py.detach(|| prepared.fill_box(&start, tensor)).map_err(fault::library);
    }
    // A box that lies nowhere in the whole is refused before its first rows are written.
    let fits = shape.len() == whole.len()
        && start.len() == whole.len()
        && (0..whole.len())
            .all(|axis| start[axis].checked_add(shape[axis]).is_some_and(|end| end <= whole[axis]));
    if !fits {
        return Err(fault::library(fanin::Error::Box { shape: whole, start, size: shape }));
    }
    // Some rows at a time: any box has the bits of the whole.
    let row = memory.len() / shape[0];
    let rows = (STRETCH / row).max(1);
    for first in (0..shape[0]).step_by(rows) {
        let now = rows.min(shape[0] - first);
        let (mut at, mut size) = (start.clone(), shape.clone());
        at[0] += first;
        size[0] = now;
        let stretch = memory.stretch(first * row..(first + now) * row);
        py.detach(|| {
            TensorMut::from_values(stretch, &size).and_then(|tensor| prepared.fill_box(&at, tensor))
        })
        .map_err(fault::library)?;
        py.check_signals()?;
    }
    Ok(())
}

/// Fills an array by DLPack.
#[pyfunction]
#[pyo3(signature = (array, spec, seed, name, dtype=None, whole=None, start=None))]
#[allow(clippy::too_many_arguments, reason = "the keywords of fanin.fill")]
pub fn fill_array(
    array: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = read_spec)] spec: Initializer,
    seed: Seed,
    name: &str,
    dtype: Option<&str>,
    whole: Option<Vec<usize>>,
    start: Option<Vec<usize>>,
) -> PyResult<()> {
    let dtype = dtype.map(crate::initializer::read_dtype).transpose()?;
    let mut array_memory = Array::of(array, dtype)?;
    fill_memory(array.py(), &mut array_memory.memory, spec.0, seed, name, &Place { whole, start })
}

/// Fills the memory of a tensor taken apart, as `torch_draw` does.
#[pyfunction]
#[pyo3(signature = (address, dtype, shape, strides, spec, seed, name, whole=None, start=None))]
#[allow(clippy::too_many_arguments, reason = "a tensor taken apart, and the keywords of fanin.fill")]
pub fn fill_address(
    py: Python<'_>,
    address: usize,
    dtype: u8,
    shape: Vec<usize>,
    strides: Option<Vec<isize>>,
    #[pyo3(from_py_with = read_spec)] spec: Initializer,
    seed: Seed,
    name: &str,
    whole: Option<Vec<usize>>,
    start: Option<Vec<usize>>,
) -> PyResult<()> {
    let dtype = crate::torch::dtype(dtype).ok_or_else(|| PyValueError::new_err("no such type"))?;
    // SAFETY: `fanin/_module.py` holds the tensor that these numbers are of while it waits for us.
    let mut memory = unsafe { Memory::new(address, dtype, shape, strides) };
    fill_memory(py, &mut memory, spec.0, seed, name, &Place { whole, start })
}
