//! Conversion of fanin's errors into Python exceptions.

use fanin_checkpoint::Remedy;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyTypeError, PyValueError};

/// Returns the exception for an error of the crate `fanin`: TypeError if memory has a wrong element type, and
/// ValueError otherwise.
pub fn from_library(error: fanin::Error) -> PyErr {
    match error {
        fanin::Error::ElementType { .. } => PyTypeError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Returns the exception for an error of a recipe or a manifest.
pub fn from_recipe(error: fanin_recipe::Error) -> PyErr {
    match error {
        fanin_recipe::Error::Spec(error) => from_library(error),
        fanin_recipe::Error::Io { ref source, .. } => os_error(source, error.to_string()),
        fanin_recipe::Error::UnknownModel { suggestion: None, .. }
        | fanin_recipe::Error::UnknownRecipe { suggestion: None, .. } => {
            PyValueError::new_err(format!("{error}: fanin.models() lists the models"))
        }
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Returns the exception for an error in reading or writing a checkpoint. If the caller can avoid the error with an
/// argument of the Python function, the message names the argument.
pub fn from_checkpoint(error: fanin_checkpoint::Error) -> PyErr {
    match error {
        fanin_checkpoint::Error::Recipe(error) => from_recipe(error),
        fanin_checkpoint::Error::Spec(error) => from_library(error),
        fanin_checkpoint::Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        fanin_checkpoint::Error::Io { ref source, .. } => os_error(source, error.to_string()),
        fanin_checkpoint::Error::Refused { message, remedy } => PyValueError::new_err(match remedy {
            Remedy::Force => format!("{message}: use force=True to replace it"),
            Remedy::ForceOrResume => {
                format!(
                    "{message}: use force=True to replace it, or resume=True to keep it if it is complete and correct"
                )
            }
            Remedy::OutputFolder => format!("{message}: use output=\"DIR/\""),
            Remedy::Like => {
                format!("{message}: use like=\"model.safetensors\", like=\"manifest.json\" or a model's name")
            }
            Remedy::LikeCheckpoint => format!(
                "{message}: use like=\"model.safetensors\" (a checkpoint with values instead of a manifest), or \
                 \"skip\" the tensor"
            ),
            Remedy::Partition => format!("part=\"auto\": {message}: use part=\"k/n\""),
            Remedy::PartitionCount => format!("part=\"auto\": {message}: use part=\"auto/n\""),
            _ => message,
        }),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Returns the exception for an error of the crate `fanin_analysis`.
pub fn from_analysis(error: fanin_analysis::Error) -> PyErr {
    match error {
        fanin_analysis::Error::Checkpoint(error) => from_checkpoint(error),
        fanin_analysis::Error::Recipe(error) => from_recipe(error),
        fanin_analysis::Error::Spec(error) => from_library(error),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Returns an OSError with the message `text`. Its class matches the errno of `source`, such as FileNotFoundError for
/// ENOENT.
fn os_error(source: &std::io::Error, text: String) -> PyErr {
    match source.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, text)),
        None => PyOSError::new_err(text),
    }
}
