//! The Python function `explain`, which describes the distribution of a spec for a weight of a given shape.

use fanin::init::Init;
use fanin_analysis::explain::{Explanation, Options, json, nonlinearity as nonlinearities};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use crate::arguments::{Argument, SIZES, read_dtype};
use crate::errors;

/// Returns the fans, formula and distribution of a weight as a dict, given its `spec` and `shape`. The dict has the
/// content that `fanin explain --json` prints.
#[pyfunction]
#[pyo3(signature = (spec, shape, dtype, layout, groups, nonlinearity, layers) -> "dict[str, Any]")]
#[allow(clippy::too_many_arguments, reason = "the arguments of fanin.explain")]
pub fn explain<'py>(
    py: Python<'py>,
    spec: &str,
    shape: Argument<'py, Vec<usize>>,
    dtype: &str,
    layout: Option<&str>,
    groups: Argument<'py, usize>,
    nonlinearity: Option<String>,
    layers: Argument<'py, Vec<u32>>,
) -> PyResult<Bound<'py, PyAny>> {
    let shape = shape.read("shape", SIZES)?;
    let groups = groups.read("groups", "a positive integer")?;
    let layers = layers.read("layers", "whole numbers from 1 to 10000")?;
    let layout = layout.map(|layout| layout.to_ascii_lowercase().parse()).transpose();
    let layout = layout.map_err(|error: fanin::Error| PyValueError::new_err(error.to_string()))?;
    if let Some(wrong) = layers.iter().find(|layers| !(1..=10_000).contains(*layers)) {
        return Err(PyValueError::new_err(format!("layers = {wrong}: must be from 1 to 10000")));
    }
    let mut depths: Vec<usize> = layers.into_iter().map(|layers| layers as usize).collect();
    depths.sort_unstable();
    depths.dedup();
    let nonlinearity = nonlinearity.as_deref().map(nonlinearities::read).transpose();
    let nonlinearity = nonlinearity.map_err(errors::from_analysis)?;
    let init = Init::parse(spec).map_err(errors::from_library)?;
    let options = Options {
        init,
        shape: &shape,
        dtype: read_dtype(dtype)?,
        layout,
        groups,
        nonlinearity,
        depths: &depths,
    };
    let explanation = Explanation::new(&options).map_err(errors::from_analysis)?;
    to_python(py, &json::to_json(&explanation))
}

/// Converts a JSON value to the Python object that `json.loads` returns for it.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => value.into_bound_py_any(py),
            (None, Some(value)) => value.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (name, member) in members {
                dict.set_item(name, to_python(py, member)?)?;
            }
            Ok(dict.into_any())
        }
    }
}
