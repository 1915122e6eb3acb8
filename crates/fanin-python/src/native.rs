//! Functions that fill memory owned by Python with values of the native stream.

use fanin::init::Init;
use fanin::region::Chunks;
use fanin::{Distribution, Initializer as _, Native, Stream as _, TensorMut};
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::arguments::{Argument, DTypeName, SIZES, Seed, read_dtype};
use crate::dlpack::Array;
use crate::initializer::{Initializer, read_spec, warn};
use crate::interrupt::{self, interruptible};
use crate::memory::Memory;
use crate::{autograd, errors, openmp};

/// The minimum number of values for which a fill releases the GIL. A smaller fill takes less time than releasing the
/// GIL.
const RELEASE_GIL: usize = 1 << 13;

/// Returns whether Ctrl-C must be able to interrupt a fill of `count` values. The limit is lower for an orthogonal
/// matrix, because its fill is slower.
fn is_long(distribution: Distribution, count: usize) -> bool {
    let orthogonal = matches!(distribution, Distribution::Orthogonal { .. });
    count >= if orthogonal { 1 << 22 } else { interrupt::MIN_VALUES }
}

/// The number of values that [`Prepared::fill_flat`] fills between two checks for signals such as Ctrl-C.
const CHUNK: usize = 1 << 22;

/// A region of a global tensor. An array of the same shape gets the values of this region.
#[derive(Debug, Default)]
struct Region {
    /// The shape of the global tensor. None means the shape of the array.
    global_shape: Option<Vec<usize>>,
    /// The index of the region's first element in the global tensor. None means index 0 along every axis.
    start: Option<Vec<usize>>,
}

/// Fills `memory` with the values of a region of a global tensor. `init`, `seed` and `name` determine the values of the
/// global tensor.
///
/// # Errors
/// - TypeError or ValueError if an argument is invalid. No value is written then.
/// - KeyboardInterrupt if Ctrl-C stops a long fill (see [`is_long`]). Some values are written then.
fn fill_memory(
    py: Python<'_>,
    memory: &mut Memory,
    init: Init,
    seed: Seed,
    name: &str,
    region: &Region,
) -> PyResult<()> {
    let shape = region.global_shape.as_deref().unwrap_or(memory.shape());
    let plan = init.resolve(shape, memory.dtype()).map_err(errors::from_library)?;
    let start = region.start.clone().unwrap_or_else(|| vec![0; plan.shape().len()]);
    warn(py, &plan)?;
    if plan.len() < RELEASE_GIL {
        let tensor = memory.tensor().map_err(errors::from_library)?;
        let filled = Native::new(seed.0).tensor(name).fill_region(&plan, &start, tensor);
        return filled.map_err(errors::from_library);
    }
    memory.advise_huge_pages();
    // `prepare` computes the factorization of an orthogonal matrix. This takes most of the time, so Ctrl-C must be able
    // to interrupt `prepare`.
    let factorized = matches!(plan.distribution(), Distribution::Orthogonal { .. });
    let long = is_long(plan.distribution(), memory.len());
    let threads = openmp::threads(py, factorized || long);
    let prepare = || Native::new(seed.0).with_threads(threads).tensor(name).prepare(&plan);
    let prepared = if factorized { interruptible(py, |_| prepare())? } else { prepare() };
    fill_region(py, memory, &prepared.map_err(errors::from_library)?, &start, long)
}

/// Fills `memory` with a region of `prepared`. The region begins at the index `start`. If `long` is true, Ctrl-C can
/// interrupt the fill.
///
/// # Errors
/// - ValueError if the region reaches outside the tensor. No value is written then.
/// - KeyboardInterrupt if Ctrl-C stops the fill. Some values are written then.
fn fill_region(
    py: Python<'_>,
    memory: &mut Memory,
    prepared: &fanin::Prepared,
    start: &[usize],
    long: bool,
) -> PyResult<()> {
    let tensor = memory.tensor().map_err(errors::from_library)?;
    let fill = move || prepared.fill_region(start, tensor);
    let filled = if long { interruptible(py, |_| fill())? } else { py.detach(fill) };
    filled.map_err(errors::from_library)
}

/// A global tensor whose regions can be generated one by one. The constructor computes what all regions share, such as
/// the factorization of an orthogonal matrix. The constructor issues no warnings. `Initializer.resolve` issues the
/// warnings for a spec and a shape.
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
        shape: Argument<'_, Vec<usize>>,
        dtype: &str,
        seed: Seed,
        name: &str,
    ) -> PyResult<Self> {
        let shape = shape.read("shape", SIZES)?;
        let plan = spec.0.resolve(&shape, read_dtype(dtype)?).map_err(errors::from_library)?;
        let prepared = interruptible(py, |_| Native::new(seed.0).tensor(name).prepare(&plan))?
            .map_err(errors::from_library)?;
        Ok(Self { prepared, plan })
    }

    /// Fills an array with a region of the tensor. `array` is any object with `__dlpack__`. The region begins at the
    /// index `start`, and has the shape of the array.
    #[pyo3(signature = (array, start, dtype=None))]
    fn fill_region(
        &self,
        array: &Bound<'_, PyAny>,
        start: Argument<'_, Vec<usize>>,
        dtype: Option<DTypeName>,
    ) -> PyResult<()> {
        let py = array.py();
        let start = start.read("start", SIZES)?;
        let mut array = self.array(array, dtype)?;
        let memory = &mut array.memory;
        memory.advise_huge_pages();
        let long = is_long(self.plan.distribution(), memory.len());
        fill_region(py, memory, &self.prepared, &start, long)
    }

    /// Fills a contiguous vector with consecutive values of the tensor. `array` is any object with `__dlpack__`.
    /// `first` is the row-major index of the first value.
    #[pyo3(signature = (array, first, dtype=None))]
    fn fill_flat(&self, array: &Bound<'_, PyAny>, first: usize, dtype: Option<DTypeName>) -> PyResult<()> {
        let py = array.py();
        let mut array = self.array(array, dtype)?;
        let memory = &mut array.memory;
        let (count, all) = (memory.len(), self.plan.len());
        if memory.shape().len() != 1 || !memory.is_contiguous() {
            let message =
                format!("a flat range fills a contiguous vector, not an array of shape {:?}", memory.shape());
            return Err(PyValueError::new_err(message));
        }
        if first.checked_add(count).is_none_or(|end| end > all) {
            let message =
                format!("{count} values from index {first} on are outside a tensor of {all} values");
            return Err(PyValueError::new_err(message));
        }
        memory.advise_huge_pages();
        let mut offset = 0;
        for (start, size) in Chunks::range(self.plan.shape(), first..first + count, CHUNK) {
            let end = offset + size.iter().product::<usize>();
            let values = memory.range(offset..end);
            py.detach(|| {
                let tensor = TensorMut::from_values(values, &size)?;
                self.prepared.fill_region(&start, tensor)
            })
            .map_err(errors::from_library)?;
            py.check_signals()?;
            offset = end;
        }
        Ok(())
    }
}

impl Prepared {
    /// Returns the memory of `array`.
    ///
    /// # Errors
    /// The errors of [`Array::of`]. TypeError if `array` and the tensor have different element types.
    fn array<'py>(&self, array: &Bound<'py, PyAny>, dtype: Option<DTypeName>) -> PyResult<Array<'py>> {
        let array = Array::of(array, dtype.map(|dtype| dtype.0))?;
        if array.memory.dtype() != self.plan.dtype() {
            let (found, wanted) = (array.memory.dtype(), self.plan.dtype());
            return Err(PyTypeError::new_err(format!(
                "the array has the dtype {found}, the tensor has {wanted}"
            )));
        }
        Ok(array)
    }
}

/// Returns a parameter's name without the prefixes that the wrapper modules of DataParallel, torch.compile, FSDP and
/// activation checkpointing add.
#[pyfunction]
pub fn canonical_name(name: &str) -> String {
    fanin::canonical_name(name).into_owned()
}

/// Fills an array with values of the native stream. Implements `fanin.fill`. `array` is any object with `__dlpack__`.
/// If `array` is a torch tensor, its version counter is incremented.
#[pyfunction]
#[pyo3(signature = (array, spec: "str | Initializer", seed, name, dtype=None, global_shape=None, start=None))]
#[allow(clippy::too_many_arguments, reason = "the keywords of fanin.fill")]
pub fn fill_array(
    array: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = read_spec)] spec: Initializer,
    seed: Seed,
    name: Argument<'_, String>,
    dtype: Option<DTypeName>,
    global_shape: Option<Argument<'_, Vec<usize>>>,
    start: Option<Argument<'_, Vec<usize>>>,
) -> PyResult<()> {
    let py = array.py();
    let name = name.read("name", "a text: the name of the tensor")?;
    let global_shape = global_shape.map(|shape| shape.read("global_shape", SIZES)).transpose()?;
    let start = start.map(|start| start.read("start", SIZES)).transpose()?;
    let region = Region { global_shape, start };
    let mut exported = Array::of(array, dtype.map(|dtype| dtype.0))?;
    let filled = fill_memory(py, &mut exported.memory, spec.0, seed, &name, &region);
    // Ctrl-C stops a fill after some writes. Other errors occur before the first write, except if the memory for an
    // orthogonal block cannot be allocated.
    let written = match &filled {
        Ok(()) => true,
        Err(error) => error.is_instance_of::<PyKeyboardInterrupt>(py),
    };
    if written && exported.is_tensor {
        autograd::increment_version(array)?;
    }
    filled
}
