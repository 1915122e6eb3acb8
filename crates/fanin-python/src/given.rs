//! Arguments as they were given, read where their names are known: so errors can say which of them is wrong.

use std::marker::PhantomData;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// What sizes and indices must be.
pub const SIZES: &str = "whole numbers from 0 on, one for each axis";

/// An argument that is to be a `T`.
pub struct Given<'py, T> {
    object: Bound<'py, PyAny>,
    wanted: PhantomData<T>,
}

impl<'py, T: FromPyObject<'py, 'py>> FromPyObject<'_, 'py> for Given<'py, T> {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = T::INPUT_TYPE;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self { object: object.to_owned(), wanted: PhantomData })
    }
}

impl<'py, T: FromPyObjectOwned<'py>> Given<'py, T> {
    /// The argument `name`, which must be what `must` says.
    ///
    /// # Errors
    /// TypeError for another type, ValueError for a number that does not go.
    pub fn read(&self, name: &str, must: &str) -> PyResult<T> {
        let read = self.object.extract().map_err(Into::<PyErr>::into);
        read.map_err(|error| refused(&self.object, name, must, &error))
    }
}

/// What to say of an argument that could not be read.
pub fn refused(object: &Bound<'_, PyAny>, name: &str, must: &str, error: &PyErr) -> PyErr {
    let shown = object.repr().map_or_else(|_| "?".to_owned(), |shown| shown.to_string());
    let message = format!("{name} = {shown}: must be {must}");
    if error.is_instance_of::<PyOverflowError>(object.py()) {
        PyValueError::new_err(message)
    } else {
        PyTypeError::new_err(message)
    }
}
