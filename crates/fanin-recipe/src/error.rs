//! The error type of this crate.

use std::path::{Path, PathBuf};

pub use crate::recipe::Diagnostic;

/// The result of anything here.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error of a recipe, a manifest, or the two together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file has the wrong content.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        message: String,
    },
    /// Something is wrong with a recipe: each diagnostic has its file, line and column.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Recipe(Vec<Diagnostic>),
    /// A tensor cannot be initialized as asked.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The tensor's name, with its rule where it has one.
        tensor: String,
        /// Why.
        source: fanin::Error,
    },
    /// A spec or its numbers are wrong.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// No built-in model has this name.
    #[error("there is no built-in model {name:?}{}", suggested(suggestion))]
    UnknownModel {
        /// The name given.
        name: String,
        /// The nearest name of a built-in model, if one is near.
        suggestion: Option<&'static str>,
    },
    /// A name that is neither a built-in model nor a recipe file.
    #[error("{name:?} is neither a built-in model nor a recipe file{}", suggested(suggestion))]
    UnknownRecipe {
        /// The name given.
        name: String,
        /// The nearest name of a built-in model, if one is near.
        suggestion: Option<&'static str>,
    },
    /// Anything else that is wrong with the request.
    #[error("{0}")]
    Request(String),
}

fn suggested(suggestion: &Option<&'static str>) -> String {
    suggestion.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

impl Error {
    /// Something wrong with the file at `path`.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Wraps an error of the system: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }
}

/// ": did you mean NAME?" if a candidate is near, else nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    fanin::nearest(name, candidates)
        .map(|candidate| format!(": did you mean {candidate}?"))
        .unwrap_or_default()
}
