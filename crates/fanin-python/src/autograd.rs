//! Functions for torch tensors: a type check, access to their memory, and increments of the version counter. The
//! version counter is autograd's count of the writes to a tensor.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// Returns whether an array is a `torch.Tensor`. Does not import torch, because no tensor exists before torch is
/// imported.
pub fn is_tensor(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    static TENSOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = array.py();
    if let Some(known) = TENSOR.get(py) {
        return array.is_instance(known.bind(py));
    }
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let Some(torch) = modules.get_item("torch")? else { return Ok(false) };
    // While torch is being imported, it has no attribute `Tensor` yet.
    let Some(known) = torch.getattr_opt("Tensor")? else { return Ok(false) };
    let known = known.cast_into::<PyType>()?;
    array.is_instance(TENSOR.get_or_init(py, || known.unbind()).bind(py))
}

/// Returns `tensor`, or `tensor.detach()` if `tensor` requires grad. torch's `__dlpack__` raises an error for tensors
/// that require grad.
///
/// # Errors
/// ValueError if torch's negative bit is set for the tensor. The memory then contains the negated values.
pub fn detached<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    if tensor.call_method0(intern!(py, "is_neg"))?.is_truthy()? {
        return Err(PyValueError::new_err(
            "the memory of this tensor has the negated values (torch's negative bit is set): fill the result of \
             resolve_neg(), which is a copy",
        ));
    }
    if tensor.getattr(intern!(py, "requires_grad"))?.is_truthy()? {
        return tensor.call_method0(intern!(py, "detach"));
    }
    Ok(tensor.clone())
}

/// Increments the version counter of a tensor that was written to, as torch's in-place operations do.
pub fn increment_version(tensor: &Bound<'_, PyAny>) -> PyResult<()> {
    static INCREMENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = tensor.py();
    // Inference tensors have no version counter.
    if !tensor.call_method0(intern!(py, "is_inference"))?.is_truthy()? {
        INCREMENT.import(py, "torch.autograd.graph", "increment_version")?.call1((tensor,))?;
    }
    Ok(())
}
