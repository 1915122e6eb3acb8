//! Arrays of anybody's, by DLPack: the protocol by which NumPy, torch, JAX and others show each other their memory.
//!
//! The structures are those of dlpack.h, versions 0.8 and 1.x (Apache-2.0, the DLPack contributors).

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
/// Memory of the host, reachable as such: kDLCUDAHost, kDLROCMHost, kDLCUDAManaged.
const HOST: [i32; 4] = [CPU, 3, 11, 13];
const FLOAT: u8 = 2;
const BFLOAT: u8 = 4;
const READ_ONLY: u64 = 1;

/// The keywords of the newer protocol.
static VERSIONS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

const PLAIN: &CStr = c"dltensor";
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

/// `DLManagedTensor`: what stands behind the tensor frees itself with the capsule that we leave unconsumed.
#[repr(C)]
struct Managed {
    tensor: DlTensor,
}

#[repr(C)]
struct ManagedVersioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: *mut c_void,
    flags: u64,
    tensor: DlTensor,
}

/// An array's memory, and what keeps it.
pub struct Array<'py> {
    pub memory: Memory,
    /// Whether it is a tensor of torch's.
    pub is_tensor: bool,
    /// While the capsule lives, unconsumed, the exporter keeps the memory; its destructor lets go.
    _capsule: Bound<'py, PyCapsule>,
}

impl<'py> Array<'py> {
    /// The memory of `array`, to be written. `dtype` reads two-byte integers as the halves that NumPy has no name for.
    ///
    /// # Errors
    /// TypeError for what does not speak DLPack, or has another type; ValueError for what is not on the CPU or may not
    /// be written.
    pub fn of(array: &Bound<'py, PyAny>, dtype: Option<DType>) -> PyResult<Self> {
        let py = array.py();
        let kind = || array.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        // NumPy's own arrays without keywords, which take a tenth of a small fill: the older protocol cannot say what is
        // read-only, and NumPy then refuses, to be asked again below.
        if is_numpy(array)?
            && let Ok(exported) = array.call_method0(intern!(py, "__dlpack__"))
            && let Ok(capsule) = exported.cast_into::<PyCapsule>()
        {
            return Self::shown(capsule, dtype, kind);
        }
        let is_tensor = autograd::is_tensor(array)?;
        let plain = is_tensor.then(|| autograd::plain(array)).transpose()?;
        let array = plain.as_ref().unwrap_or(array);
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
            // Older exporters know no versions.
            Err(error) if error.is_instance_of::<PyTypeError>(py) => export.call0(),
            exported => exported,
        };
        let capsule = exported
            .map_err(|error| {
                let message = format!("this {} gives its memory to nobody: {}", kind(), error.value(py));
                let said = PyValueError::new_err(message);
                said.set_cause(py, Some(error));
                said
            })?
            .cast_into::<PyCapsule>()
            .map_err(|_| {
                PyTypeError::new_err(format!("the __dlpack__ of this {} gives no capsule", kind()))
            })?;
        Ok(Self { is_tensor, ..Self::shown(capsule, dtype, kind)? })
    }

    /// The memory that a capsule shows, of an array of this type's name.
    fn shown(
        capsule: Bound<'py, PyCapsule>,
        dtype: Option<DType>,
        kind: impl Fn() -> String,
    ) -> PyResult<Self> {
        let (tensor, read_only) = if capsule.is_valid_checked(Some(VERSIONED)) {
            let pointer = capsule.pointer_checked(Some(VERSIONED))?;
            // SAFETY: a capsule of this name holds this structure, by the protocol, and lives on in `capsule`.
            let managed = unsafe { pointer.cast::<ManagedVersioned>().as_ref() };
            if managed.major != 1 {
                let message = format!("DLPack version {}.{} is not known here", managed.major, managed.minor);
                return Err(PyTypeError::new_err(message));
            }
            (&managed.tensor, managed.flags & READ_ONLY != 0)
        } else {
            let pointer = capsule.pointer_checked(Some(PLAIN))?;
            // SAFETY: as above.
            (unsafe { &pointer.cast::<Managed>().as_ref().tensor }, false)
        };
        if read_only {
            return Err(PyValueError::new_err(format!(
                "this {} may not be written to: it is read-only",
                kind()
            )));
        }
        if !HOST.contains(&tensor.device_type) {
            return Err(PyValueError::new_err(format!(
                "this {} is not in the CPU's memory: fill one that is, and copy it",
                kind()
            )));
        }
        let dtype = element_type(tensor, dtype, &kind)?;
        let ndim = usize::try_from(tensor.ndim).unwrap_or_default();
        // SAFETY: by the protocol, `ndim` numbers each; strides may be absent.
        let (shape, strides) = unsafe { (numbers(tensor.shape, ndim), numbers(tensor.strides, ndim)) };
        let shape: Vec<usize> = shape.unwrap_or_default().iter().map(|&size| size as usize).collect();
        let address = tensor.data.expose_provenance() + tensor.byte_offset as usize;
        let size = usize::from(tensor.type_bits / 8);
        if !address.is_multiple_of(size) {
            return Err(PyValueError::new_err(format!(
                "the values of this {} are not aligned: fill a copy of it",
                kind()
            )));
        }
        // Tensors without memory, which some exporters show as the CPU's.
        if tensor.data.is_null() && !shape.contains(&0) {
            return Err(PyValueError::new_err(format!("this {} has no memory to be filled", kind())));
        }
        // SAFETY: the exporter vouches for address, shape and strides while the capsule lives, and `Array` keeps it.
        let memory = unsafe { Memory::new(address, dtype, shape, strides) };
        Ok(Self { memory, is_tensor: false, _capsule: capsule })
    }
}

/// Whether an array is NumPy's own, no subclass.
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

/// # Safety
/// `pointer` is null or points to `count` numbers that live for `'a`.
unsafe fn numbers<'a>(pointer: *const i64, count: usize) -> Option<&'a [i64]> {
    // SAFETY: the caller's.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// The type of the values; `wanted` may name the type whose bits integers of two bytes or one stand for.
fn element_type(tensor: &DlTensor, wanted: Option<DType>, kind: impl Fn() -> String) -> PyResult<DType> {
    const INTEGERS: [u8; 2] = [0, 1];
    // DLPack 1.1: dlpack.h, DLDataTypeCode.
    const FLOAT8_E4M3FN: u8 = 10;
    const FLOAT8_E5M2: u8 = 12;
    let found = match (tensor.type_code, tensor.type_bits, tensor.type_lanes) {
        (FLOAT, 32, 1) => Some(DType::F32),
        (FLOAT, 64, 1) => Some(DType::F64),
        (FLOAT, 16, 1) => Some(DType::F16),
        (BFLOAT, 16, 1) => Some(DType::BF16),
        (code, 16, 1) if INTEGERS.contains(&code) => {
            wanted.filter(|dtype| matches!(dtype, DType::F16 | DType::BF16))
        }
        (code, 8, 1) if INTEGERS.contains(&code) => {
            wanted.filter(|dtype| matches!(dtype, DType::F8E4M3 | DType::F8E5M2))
        }
        (FLOAT8_E4M3FN, 8, 1) => Some(DType::F8E4M3),
        (FLOAT8_E5M2, 8, 1) => Some(DType::F8E5M2),
        _ => None,
    };
    match (found, wanted) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(wanted)) if found == wanted => Ok(found),
        (Some(found), Some(wanted)) => {
            Err(PyTypeError::new_err(format!("dtype={wanted}, but this {} holds {found}", kind())))
        }
        (None, _) => Err(PyTypeError::new_err(format!(
            "this {} holds neither f32, f64, f16, bf16 nor float8 values (for bits in an array of integers, say \
             dtype=\"bf16\" or \"f8_e4m3\")",
            kind()
        ))),
    }
}
