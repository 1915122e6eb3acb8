//! The error type of this crate.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;

/// A `Result` whose error is the [`Error`] of this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error of this crate, for example an invalid recipe, an invalid manifest, or a recipe that does not fit a
/// manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed operation as a verb, for example "read".
        action: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The content of a file is invalid.
    #[error("{}: {message}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The mistake in the content, and the remedy.
        message: String,
    },
    /// A recipe has mistakes. Each diagnostic describes one mistake, with its file, line and column.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Recipe(Vec<Diagnostic>),
    /// A tensor cannot be initialized as requested.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The name of the tensor.
        tensor: String,
        /// The reason: an error of the initializer or of the stream.
        source: fanin::Error,
    },
    /// A spec is invalid, or an initializer has invalid arguments.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// No built-in model has the requested name.
    #[error("there is no built-in model {name:?}{}", suggested(*suggestion))]
    UnknownModel {
        /// The requested name.
        name: String,
        /// The most similar name of a built-in model. `None` if no name is similar.
        suggestion: Option<&'static str>,
    },
    /// The name is neither the name of a built-in model nor the path of a recipe file.
    #[error("{name:?} is neither a built-in model nor a recipe file{}", suggested(*suggestion))]
    UnknownRecipe {
        /// The requested name.
        name: String,
        /// The most similar name of a built-in model. `None` if no name is similar.
        suggestion: Option<&'static str>,
    },
    /// Any other error. The string is the error message.
    #[error("{0}")]
    Request(String),
}

fn suggested(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

impl Error {
    /// Returns an [`Error::File`] about the content of the file at `path`.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Returns a function that converts an I/O error to [`Error::Io`]. Example: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }
}

/// Returns `": did you mean NAME?"` with the candidate that is most similar to `name`. Returns an empty string if no
/// candidate is similar.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    suggested(fanin::nearest(name, candidates))
}
