//! Access to the memory of arrays by DLPack, the protocol by which NumPy, torch, JAX and other libraries share memory.
//!
//! The structures of this module have the memory layout of dlpack.h 0.8 and 1.x (Apache-2.0, the DLPack contributors).

use std::ffi::{CStr, c_void};

use fanin::DType;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyType};

use crate::autograd;
use crate::memory::Memory;

const CPU: i32 = 1;
/// The devices whose memory the CPU can access: kDLCPU, kDLCUDAHost, kDLROCMHost and kDLCUDAManaged.
const HOST: [i32; 4] = [CPU, 3, 11, 13];
const FLOAT: u8 = 2;
const BFLOAT: u8 = 4;
const READ_ONLY: u64 = 1;
const IS_COPY: u64 = 2;

/// The keyword arguments for `__dlpack__`: `max_version`, the newest supported version. DLPack 1.0 introduced this
/// argument.
static VERSIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

const UNVERSIONED: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";

#[repr(C)]
struct DlTensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    type_code: u8,
    type_bits: u8,
    type_lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

/// The first field of `DLManagedTensor`. Only consumers of a capsule need the other fields.
#[repr(C)]
struct Managed {
    tensor: DlTensor,
}

/// The fields of `DLManagedTensorVersioned`.
#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: *mut c_void,
    flags: u64,
    tensor: DlTensor,
}

/// The memory of an array, and the DLPack capsule that keeps this memory alive.
pub struct Array<'py> {
    pub memory: Memory,
    /// Whether the array is a torch tensor.
    pub is_tensor: bool,
    /// This module does not consume the capsule, so the capsule's destructor releases the memory.
    _capsule: Bound<'py, PyCapsule>,
}

impl<'py> Array<'py> {
    /// Returns the memory of `array`. If `dtype` is given, the element type must be `dtype`.
    ///
    /// For a `dtype` of one or two bytes, `array` may also contain integers of the same size, such as uint16 for bf16.
    /// A fill then writes the bits of the values to the integers. NumPy needs this, because it has no bf16 and no
    /// float8.
    ///
    /// # Errors
    /// - TypeError if the object has no `__dlpack__`, or if its element type is not `dtype` or not supported.
    /// - ValueError if the memory is not on the CPU, is not aligned, is read-only, is a copy, or is not known to be
    ///   writable.
    pub fn of(array: &Bound<'py, PyAny>, dtype: Option<DType>) -> PyResult<Self> {
        let py = array.py();
        let kind = || array.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        // NumPy's `__dlpack__` is first called without `max_version`, because this argument makes a small fill 10 %
        // slower. Without it, NumPy raises an error for a read-only array. The code below then calls `__dlpack__` with
        // `max_version`.
        if is_numpy(array)?
            && let Ok(exported) = array.call_method0(intern!(py, "__dlpack__"))
            && let Ok(capsule) = exported.cast_into::<PyCapsule>()
        {
            return Self::from_capsule(capsule, dtype, true, kind);
        }
        let is_tensor = autograd::is_tensor(array)?;
        let detached = is_tensor.then(|| autograd::detached(array)).transpose()?;
        let array = detached.as_ref().unwrap_or(array);
        let Some(export) = array.getattr_opt(intern!(py, "__dlpack__"))? else {
            return Err(PyTypeError::new_err(format!(
                "a {} cannot be filled: give a NumPy array, a torch tensor, or anything else that has __dlpack__",
                kind()
            )));
        };
        let versions = VERSIONS.get_or_try_init(py, || {
            let versions = PyDict::new(py);
            versions.set_item("max_version", (1, 1)).map(|()| versions.unbind())
        })?;
        let exported = match export.call((), Some(versions.bind(py))) {
            // Older libraries do not have the argument `max_version`, so they raise TypeError.
            Err(error) if error.is_instance_of::<PyTypeError>(py) => export.call0(),
            exported => exported,
        };
        let capsule = exported
            .map_err(|error| {
                let message = format!(
                    "cannot access the memory of this {}: its __dlpack__ raises {}",
                    kind(),
                    error.value(py)
                );
                let raised = PyValueError::new_err(message);
                raised.set_cause(py, Some(error));
                raised
            })?
            .cast_into::<PyCapsule>()
            .map_err(|_| {
                PyTypeError::new_err(format!("the __dlpack__ of this {} does not return a capsule", kind()))
            })?;
        // JAX arrays are immutable and may share memory with each other. Their capsules do not always state this.
        let module = array.get_type().module()?.to_string();
        if matches!(module.split('.').next(), Some("jax" | "jaxlib")) {
            return Err(PyValueError::new_err(
                "JAX arrays are immutable: use fanin.jax.fill_sharded, which returns a new array, or fill a NumPy array and \
                 pass it to jax.numpy.asarray",
            ));
        }
        let writable = is_tensor || is_numpy_instance(array)?;
        Ok(Self { is_tensor, ..Self::from_capsule(capsule, dtype, writable, kind)? })
    }

    /// Returns the memory that a capsule describes. `kind` returns the name of the array's type, for error messages.
    ///
    /// `writable` says whether the memory is known to be writable. It is only used for capsules of DLPack 0.x, because
    /// they have no read-only flag.
    fn from_capsule(
        capsule: Bound<'py, PyCapsule>,
        dtype: Option<DType>,
        writable: bool,
        kind: impl Fn() -> String,
    ) -> PyResult<Self> {
        let (tensor, read_only) = if capsule.is_valid_checked(Some(VERSIONED)) {
            let pointer = capsule.pointer_checked(Some(VERSIONED))?;
            // SAFETY: by the protocol, a capsule of this name points to this structure. The structure lives as long as
            // the capsule.
            let managed = unsafe { pointer.cast::<ManagedVersioned>().as_ref() };
            if managed.major != 1 {
                let message = format!(
                    "DLPack version {}.{} is not supported: expected 1.x",
                    managed.major, managed.minor
                );
                return Err(PyTypeError::new_err(message));
            }
            if managed.flags & IS_COPY != 0 {
                return Err(PyValueError::new_err(format!(
                    "the __dlpack__ of this {} returns a copy, so a fill would not change it: fill a NumPy array, and \
                     convert it",
                    kind()
                )));
            }
            (&managed.tensor, managed.flags & READ_ONLY != 0)
        } else {
            let pointer = capsule.pointer_checked(Some(UNVERSIONED))?;
            // SAFETY: by the protocol, a capsule of this name points to a `DLManagedTensor`. It lives as long as the
            // capsule.
            let tensor = unsafe { &pointer.cast::<Managed>().as_ref().tensor };
            // NumPy's `from_dlpack` also treats memory of unknown writability as read-only.
            if !writable {
                return Err(PyValueError::new_err(format!(
                    "this {} may be read-only, because its __dlpack__ is older than DLPack 1.0: fill a NumPy array, \
                     and convert the array",
                    kind()
                )));
            }
            (tensor, false)
        };
        if read_only {
            return Err(PyValueError::new_err(format!("this {} is read-only: fill a copy of it", kind())));
        }
        if !HOST.contains(&tensor.device_type) {
            return Err(PyValueError::new_err(format!(
                "this {} is not in CPU memory: fill an array in CPU memory, and copy the array",
                kind()
            )));
        }
        let dtype = element_type(tensor, dtype, &kind)?;
        let ndim = usize::try_from(tensor.ndim).unwrap_or_default();
        // SAFETY: by the protocol, `shape` and `strides` each point to `ndim` integers, and `strides` may be null.
        let (shape, strides) = unsafe { (numbers_at(tensor.shape, ndim), numbers_at(tensor.strides, ndim)) };
        let shape: Vec<usize> = shape.unwrap_or_default().iter().map(|&size| size as usize).collect();
        let address = tensor.data.expose_provenance() + tensor.byte_offset as usize;
        let size = usize::from(tensor.type_bits / 8);
        if !address.is_multiple_of(size) {
            return Err(PyValueError::new_err(format!(
                "the values of this {} are not aligned: fill a copy of it",
                kind()
            )));
        }
        // Some libraries export a tensor without memory as a CPU tensor with a null pointer.
        if tensor.data.is_null() && !shape.contains(&0) {
            return Err(PyValueError::new_err(format!("this {} has no memory", kind())));
        }
        // SAFETY: the exporter guarantees that address, shape and strides are valid while the capsule lives, and the
        // new `Array` owns the capsule.
        let memory = unsafe { Memory::new(address, dtype, shape, strides) };
        Ok(Self { memory, is_tensor: false, _capsule: capsule })
    }
}

/// Returns whether the type of an array is exactly `numpy.ndarray`, not a subclass.
fn is_numpy(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    static NUMPY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (py, kind) = (array.py(), array.get_type());
    if let Some(known) = NUMPY.get(py) {
        return Ok(kind.is(known));
    }
    if kind.name()? != "ndarray" || kind.module()? != "numpy" {
        return Ok(false);
    }
    let known = py.import("numpy")?.getattr("ndarray")?.cast_into::<PyType>()?;
    Ok(kind.is(NUMPY.get_or_init(py, || known.unbind())))
}

/// Returns whether an array is an instance of `numpy.ndarray` or of a subclass.
fn is_numpy_instance(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let modules = array.py().import("sys")?.getattr("modules")?;
    match modules.get_item("numpy") {
        Ok(numpy) => array.is_instance(&numpy.getattr("ndarray")?),
        Err(_) => Ok(false),
    }
}

/// Returns the `count` integers at `pointer`, or None if `pointer` is null.
///
/// # Safety
/// `pointer` is null or points to `count` integers that live for `'a`.
unsafe fn numbers_at<'a>(pointer: *const i64, count: usize) -> Option<&'a [i64]> {
    // SAFETY: the caller guarantees that a non-null pointer points to `count` integers.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// Returns the element type of a tensor. If `expected` has one or two bytes, integers of the same size count as
/// `expected`, such as uint16 for bf16. `kind` returns the name of the array's type, for error messages.
///
/// # Errors
/// TypeError if fanin cannot fill the type, or if the type is not `expected`.
fn element_type(tensor: &DlTensor, expected: Option<DType>, kind: impl Fn() -> String) -> PyResult<DType> {
    const INTEGERS: [u8; 2] = [0, 1];
    // Values of DLDataTypeCode in dlpack.h of DLPack 1.1.
    const FLOAT8_E4M3FN: u8 = 10;
    const FLOAT8_E5M2: u8 = 12;
    let found = match (tensor.type_code, tensor.type_bits, tensor.type_lanes) {
        (FLOAT, 32, 1) => Some(DType::F32),
        (FLOAT, 64, 1) => Some(DType::F64),
        (FLOAT, 16, 1) => Some(DType::F16),
        (BFLOAT, 16, 1) => Some(DType::BF16),
        (code, 16, 1) if INTEGERS.contains(&code) => {
            expected.filter(|dtype| matches!(dtype, DType::F16 | DType::BF16))
        }
        (code, 8, 1) if INTEGERS.contains(&code) => {
            expected.filter(|dtype| matches!(dtype, DType::F8E4M3 | DType::F8E5M2))
        }
        (FLOAT8_E4M3FN, 8, 1) => Some(DType::F8E4M3),
        (FLOAT8_E5M2, 8, 1) => Some(DType::F8E5M2),
        _ => None,
    };
    match (found, expected) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(expected)) if found == expected => Ok(found),
        (Some(found), Some(expected)) => {
            Err(PyTypeError::new_err(format!("dtype = {expected}: this {} has the dtype {found}", kind())))
        }
        (None, _) => Err(PyTypeError::new_err(format!(
            "the dtype of this {} must be f32, f64, f16, bf16 or float8 (to fill an array of integers with the bits of \
             such values, pass dtype=\"bf16\" or dtype=\"f8_e4m3\")",
            kind()
        ))),
    }
}
