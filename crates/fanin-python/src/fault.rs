//! fanin's errors as Python's exceptions.

use fanin_checkpoint::Remedy;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyTypeError, PyValueError};

/// A wrong type of memory is a TypeError; anything else that is wrong with a request is a ValueError.
pub fn library(error: fanin::Error) -> PyErr {
    match error {
        fanin::Error::ElementType { .. } => PyTypeError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// An error of a recipe or a manifest.
pub fn recipe(error: fanin_recipe::Error) -> PyErr {
    match error {
        fanin_recipe::Error::Spec(error) => library(error),
        fanin_recipe::Error::Io { ref source, .. } => os_error(source, error.to_string()),
        fanin_recipe::Error::UnknownModel { suggestion: None, .. }
        | fanin_recipe::Error::UnknownRecipe { suggestion: None, .. } => {
            PyValueError::new_err(format!("{error}: fanin.models() lists the models"))
        }
        other => PyValueError::new_err(other.to_string()),
    }
}

/// An error of reading or writing a checkpoint, with the keyword that helps.
pub fn checkpoint(error: fanin_checkpoint::Error) -> PyErr {
    match error {
        fanin_checkpoint::Error::Recipe(error) => recipe(error),
        fanin_checkpoint::Error::Spec(error) => library(error),
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
                "{message}: use like=\"model.safetensors\", a checkpoint with values rather than a manifest, or skip the tensor"
            ),
            Remedy::Partition => format!("part=\"auto\": {message}: use part=\"k/n\""),
            Remedy::PartitionCount => format!("part=\"auto\": {message}: use part=\"auto/n\""),
            _ => message,
        }),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// An error of an explanation.
pub fn analysis(error: fanin_analysis::Error) -> PyErr {
    match error {
        fanin_analysis::Error::Checkpoint(error) => checkpoint(error),
        fanin_analysis::Error::Recipe(error) => recipe(error),
        fanin_analysis::Error::Spec(error) => library(error),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// An OSError of the kind that the errno says: FileNotFoundError, PermissionError and so on.
fn os_error(source: &std::io::Error, text: String) -> PyErr {
    match source.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, text)),
        None => PyOSError::new_err(text),
    }
}
