//! Torch's tensors, where their memory alone is not the whole of them.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// Whether an array is a tensor of torch's. Whoever has one has imported torch.
pub fn is_tensor(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    static TENSOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = array.py();
    if let Some(known) = TENSOR.get(py) {
        return array.is_instance(known.bind(py));
    }
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let Some(torch) = modules.get_item("torch")? else { return Ok(false) };
    // While torch is being imported it has none yet.
    let Some(known) = torch.getattr_opt("Tensor")? else { return Ok(false) };
    let known = known.cast_into::<PyType>()?;
    array.is_instance(TENSOR.get_or_init(py, || known.unbind()).bind(py))
}

/// The tensor to be written in a tensor's place: the same memory, without a gradient.
///
/// # Errors
/// A tensor whose memory holds its values with the other sign.
pub fn plain<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    if tensor.call_method0(intern!(py, "is_neg"))?.is_truthy()? {
        return Err(PyValueError::new_err(
            "the memory of this tensor holds its values negated (torch's negative bit): fill what resolve_neg() gives, \
             which is a copy",
        ));
    }
    if tensor.getattr(intern!(py, "requires_grad"))?.is_truthy()? {
        return tensor.call_method0(intern!(py, "detach"));
    }
    Ok(tensor.clone())
}

/// Tells autograd that a tensor was written to, as an operation in place under no_grad would.
pub fn changed(tensor: &Bound<'_, PyAny>) -> PyResult<()> {
    static INCREMENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = tensor.py();
    // Tensors of inference have no versions.
    if !tensor.call_method0(intern!(py, "is_inference"))?.is_truthy()? {
        INCREMENT.import(py, "torch.autograd.graph", "increment_version")?.call1((tensor,))?;
    }
    Ok(())
}
