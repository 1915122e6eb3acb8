//! fanin's errors as Python's.

use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyTypeError, PyValueError};

/// A wrong type of memory is a TypeError, everything else that is wrong with a request a ValueError.
pub fn library(error: fanin::Error) -> PyErr {
    match error {
        fanin::Error::ElementType { .. } => PyTypeError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// What the system says to reading and writing is an OSError of its kind.
pub fn command(error: fanin_cli::Error) -> PyErr {
    match error {
        fanin_cli::Error::Spec(error) => library(error),
        fanin_cli::Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        fanin_cli::Error::Io { ref source, .. } => {
            let text = error.to_string();
            match source.raw_os_error() {
                // With an errno Python picks FileNotFoundError, PermissionError and so on.
                Some(errno) => PyOSError::new_err((errno, text)),
                None => PyOSError::new_err(text),
            }
        }
        other => PyValueError::new_err(other.to_string()),
    }
}
