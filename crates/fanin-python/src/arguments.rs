//! Types that convert Python arguments. Error messages name the argument, its value and the valid values.

use std::marker::PhantomData;

use fanin::DType;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

/// The description of valid shapes and indices in error messages.
pub const SIZES: &str = "non-negative integers, one for each axis";

/// A Python argument that is not converted yet. [`Argument::read`] converts it to `T`, and names the argument in its
/// error message.
pub struct Argument<'py, T> {
    object: Bound<'py, PyAny>,
    expected: PhantomData<T>,
}

impl<'py, T: FromPyObject<'py, 'py>> FromPyObject<'_, 'py> for Argument<'py, T> {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = T::INPUT_TYPE;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self { object: object.to_owned(), expected: PhantomData })
    }
}

impl<'py, T: FromPyObjectOwned<'py>> Argument<'py, T> {
    /// Converts the argument to `T`. The error message says that the argument `name` must be `expected`, such as "a
    /// positive integer".
    ///
    /// # Errors
    /// TypeError if the argument has a wrong type, and ValueError if a number is out of range.
    pub fn read(&self, name: &str, expected: &str) -> PyResult<T> {
        let read = self.object.extract().map_err(Into::<PyErr>::into);
        read.map_err(|error| argument_error(&self.object, name, expected, &error))
    }
}

/// Returns the exception for an argument whose conversion failed with `error`: ValueError if `error` is an
/// OverflowError, and TypeError otherwise.
///
/// The message says that the argument `name` must be `expected`, such as "a positive integer".
pub fn argument_error(object: &Bound<'_, PyAny>, name: &str, expected: &str, error: &PyErr) -> PyErr {
    let shown = object.repr().map_or_else(|_| "?".to_owned(), |shown| shown.to_string());
    let message = format!("{name} = {shown}: must be {expected}");
    if error.is_instance_of::<PyOverflowError>(object.py()) {
        PyValueError::new_err(message)
    } else {
        PyTypeError::new_err(message)
    }
}

/// A seed, given as a Python int from -2^63 to 2^64 - 1. A negative seed is converted modulo 2^64, as in torch.
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
            .map_err(|error| argument_error(&object, "seed", "a whole number from -2^63 to 2^64 - 1", &error))
    }
}

/// The argument `dtype`: the name of a dtype, such as "bf16".
#[derive(Debug, Clone, Copy)]
pub struct DTypeName(pub DType);

impl FromPyObject<'_, '_> for DTypeName {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = String::INPUT_TYPE;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let Ok(text) = object.cast::<PyString>() else {
            let message =
                format!("dtype = {}: must be the name of a dtype, such as \"bf16\"", object.as_any());
            return Err(PyTypeError::new_err(message));
        };
        read_dtype(text.to_str()?).map(DTypeName)
    }
}

/// Returns the dtype with this name. The names in fanin, torch, NumPy and safetensors are accepted.
///
/// # Errors
/// ValueError if the name is unknown.
pub fn read_dtype(name: &str) -> PyResult<DType> {
    name.parse().map_err(|error: fanin::SpecError| PyValueError::new_err(error.to_string()))
}

/// The argument `settings`: the names of a recipe's variables and their values. Any Python mapping is accepted.
#[derive(Debug, Default)]
pub struct Settings(pub Vec<(String, f64)>);

impl FromPyObject<'_, '_> for Settings {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        <PyMapping as pyo3::PyTypeInfo>::TYPE_HINT,
        String::INPUT_TYPE,
        f64::INPUT_TYPE
    );

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let items = object.cast::<PyMapping>().ok().map(|mapping| mapping.items()).transpose()?;
        items
            .map_or_else(|| Err(PyTypeError::new_err("not a mapping")), |items| items.extract())
            .map(Self)
            .map_err(|error| argument_error(&object, "settings", "a mapping of names to numbers", &error))
    }
}
