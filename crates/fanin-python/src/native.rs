//! The native stream on memory that Python owns.

use fanin::init::Init;
use fanin::region::Chunks;
use fanin::{Distribution, Initializer as _, Native, Stream as _, TensorMut};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::attend::attended;
use crate::autograd;
use crate::dlpack::Array;
use crate::fault;
use crate::given::{Given, SIZES};
use crate::initializer::{Initializer, Kind, read_spec, warn};
use crate::memory::Memory;
use crate::team;
use crate::torch::ENDLESS;

/// Fewest values for which other Python threads may run meanwhile: sooner done than said.
const SLOW: usize = 1 << 13;

/// Whether a fill of so many values takes long enough for somebody to want it to end. Entries of orthogonal matrices take
/// longer than others.
fn is_endless(distribution: Distribution, count: usize) -> bool {
    count >= if matches!(distribution, Distribution::Orthogonal { .. }) { 1 << 22 } else { ENDLESS }
}

/// Values of a flat range between two looks at Ctrl-C.
const STRETCH: usize = 1 << 22;

/// A seed as Python has it: -2^63 to 2^64 - 1, negative ones as torch takes them.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub u64);

impl FromPyObject<'_, '_> for Seed {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = u64::INPUT_TYPE;

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
    let whole = place.whole.as_deref().unwrap_or(memory.shape());
    let plan = init.resolve(whole, memory.dtype()).map_err(fault::library)?;
    let start = place.start.clone().unwrap_or_else(|| vec![0; plan.shape().len()]);
    warn(py, &plan)?;
    if plan.len() < SLOW {
        let tensor = memory.tensor().map_err(fault::library)?;
        return Native::new(seed.0).tensor(name).fill_region(&plan, &start, tensor).map_err(fault::library);
    }
    memory.expect_writes();
    // Factorizing, for `orthogonal`, is most of the work.
    let factorized = matches!(plan.distribution(), Distribution::Orthogonal { .. });
    let endless = is_endless(plan.distribution(), memory.len());
    let threads = team::threads(py, factorized || endless);
    let prepare = || Native::new(seed.0).with_threads(threads).tensor(name).prepare(&plan);
    let prepared = if factorized { attended(py, |_| prepare())? } else { prepare() };
    fill_region(py, memory, &prepared.map_err(fault::library)?, &start, endless)
}

/// Fills `memory` with the box of `prepared` that begins at `start`.
///
/// # Errors
/// A box that does not lie in the whole, before a value is written; KeyboardInterrupt from the middle of a long fill.
fn fill_region(
    py: Python<'_>,
    memory: &mut Memory,
    prepared: &fanin::Prepared,
    start: &[usize],
    endless: bool,
) -> PyResult<()> {
    let tensor = memory.tensor().map_err(fault::library)?;
    let fill = move || prepared.fill_region(start, tensor);
    let filled = if endless { attended(py, |_| fill())? } else { py.detach(fill) };
    filled.map_err(fault::library)
}

/// A tensor of which parts are to be filled: planned, its common work done once. Whoever makes it has seen the plan's
/// warnings.
///
/// >>> import numpy as np
/// >>> import fanin
/// >>> from fanin._fanin import Prepared
/// >>> tensor = Prepared("orthogonal", (4, 3), "f32", 0, "w")
/// >>> last, middle = np.empty((1, 3), np.float32), np.empty(5, np.float32)
/// >>> tensor.fill_region(last, (3, 0))
/// >>> tensor.fill_flat(middle, 4)
/// >>> whole = fanin.filled((4, 3), "orthogonal", name="w")
/// >>> bool((last == whole[3:]).all() and (middle == whole.ravel()[4:9]).all())
/// True
#[pyclass(frozen, module = "fanin._fanin")]
#[derive(Debug)]
pub struct Prepared {
    prepared: fanin::Prepared,
    plan: fanin::Plan,
}

#[pymethods]
impl Prepared {
    #[new]
    #[pyo3(signature = (spec: "str | Initializer", shape, dtype, seed, name))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = read_spec)] spec: Initializer,
        shape: Given<'_, Vec<usize>>,
        dtype: &str,
        seed: Seed,
        name: &str,
    ) -> PyResult<Self> {
        let shape = shape.read("shape", SIZES)?;
        let plan = spec.0.resolve(&shape, crate::initializer::read_dtype(dtype)?).map_err(fault::library)?;
        let prepared =
            attended(py, |_| Native::new(seed.0).tensor(name).prepare(&plan))?.map_err(fault::library)?;
        Ok(Self { prepared, plan })
    }

    /// Fills an array, by DLPack, with the box of its shape that begins at `start`.
    #[pyo3(signature = (array, start, dtype=None))]
    fn fill_region(
        &self,
        array: &Bound<'_, PyAny>,
        start: Given<'_, Vec<usize>>,
        dtype: Option<Kind>,
    ) -> PyResult<()> {
        let py = array.py();
        let start = start.read("start", SIZES)?;
        let mut array = self.array(array, dtype)?;
        let memory = &mut array.memory;
        memory.expect_writes();
        let endless = is_endless(self.plan.distribution(), memory.len());
        fill_region(py, memory, &self.prepared, &start, endless)
    }

    /// Fills a vector, by DLPack, with the row-major values from the index `first` on.
    #[pyo3(signature = (array, first, dtype=None))]
    fn fill_flat(&self, array: &Bound<'_, PyAny>, first: usize, dtype: Option<Kind>) -> PyResult<()> {
        let py = array.py();
        let mut array = self.array(array, dtype)?;
        let memory = &mut array.memory;
        let (count, all) = (memory.len(), self.plan.len());
        if memory.shape().len() != 1 || !memory.is_contiguous() {
            let message =
                format!("a flat range goes into a dense vector, not into the shape {:?}", memory.shape());
            return Err(PyValueError::new_err(message));
        }
        if first.checked_add(count).is_none_or(|end| end > all) {
            let message = format!("the values {first} to {} do not lie in a tensor of {all}", first + count);
            return Err(PyValueError::new_err(message));
        }
        memory.expect_writes();
        let mut at = 0;
        for (start, size) in Chunks::range(self.plan.shape(), first..first + count, STRETCH) {
            let values = size.iter().product::<usize>();
            let stretch = memory.stretch(at..at + values);
            py.detach(|| {
                let tensor = TensorMut::from_values(stretch, &size)?;
                self.prepared.fill_region(&start, tensor)
            })
            .map_err(fault::library)?;
            py.check_signals()?;
            at += values;
        }
        Ok(())
    }
}

impl Prepared {
    fn array<'py>(&self, array: &Bound<'py, PyAny>, dtype: Option<Kind>) -> PyResult<Array<'py>> {
        let array = Array::of(array, dtype.map(|dtype| dtype.0))?;
        if array.memory.dtype() != self.plan.dtype() {
            let (found, wanted) = (array.memory.dtype(), self.plan.dtype());
            return Err(PyTypeError::new_err(format!("the array holds {found}, the tensor {wanted}")));
        }
        Ok(array)
    }
}

/// A parameter's name without what wrappers add: DataParallel, torch.compile, FSDP, activation checkpointing.
#[pyfunction]
pub fn canonical_name(name: &str) -> String {
    fanin::canonical_name(name).into_owned()
}

/// Fills an array by DLPack. Autograd is told of a tensor of torch's.
#[pyfunction]
#[pyo3(signature = (array, spec: "str | Initializer", seed, name, dtype=None, whole=None, start=None))]
#[allow(clippy::too_many_arguments, reason = "the keywords of fanin.fill")]
pub fn fill_array(
    array: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = read_spec)] spec: Initializer,
    seed: Seed,
    name: Given<'_, String>,
    dtype: Option<Kind>,
    whole: Option<Given<'_, Vec<usize>>>,
    start: Option<Given<'_, Vec<usize>>>,
) -> PyResult<()> {
    let py = array.py();
    let name = name.read("name", "a text, the tensor's name")?;
    let whole = whole.map(|whole| whole.read("whole", SIZES)).transpose()?;
    let start = start.map(|start| start.read("start", SIZES)).transpose()?;
    let mut shown = Array::of(array, dtype.map(|dtype| dtype.0))?;
    let filled = fill_memory(py, &mut shown.memory, spec.0, seed, &name, &Place { whole, start });
    // What is refused is refused before a value is written; Ctrl-C comes in the middle.
    let written = match &filled {
        Ok(()) => true,
        Err(error) => error.is_instance_of::<PyKeyboardInterrupt>(py),
    };
    if written && shown.is_tensor {
        autograd::changed(array)?;
    }
    filled
}
