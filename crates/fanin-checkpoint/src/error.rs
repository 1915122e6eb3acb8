//! The error type of this crate.

use std::path::{Path, PathBuf};

/// The result of anything in this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error while reading or writing a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file has the wrong content, or cannot be used.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A request that another option would make possible.
    #[error("{message}")]
    Refused {
        /// What is wrong.
        message: String,
        /// The option that would help.
        remedy: Remedy,
    },
    /// A tensor cannot be initialized as requested.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The tensor's name, with its rule where it has one.
        tensor: String,
        /// Why.
        source: fanin::Error,
    },
    /// Something is wrong with a recipe or a manifest.
    #[error(transparent)]
    Recipe(#[from] fanin_recipe::Error),
    /// A spec or its numbers are wrong.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// The write was cancelled.
    #[error("interrupted")]
    Interrupted,
    /// Anything else that is wrong with the request.
    #[error("{0}")]
    Request(String),
}

/// The option that makes a refused request possible. The caller names it as its own users write it: `--force` on a
/// command line, `force=True` in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Replace existing files.
    Force,
    /// Replace existing files, or keep those that are complete and correct.
    ForceOrResume,
    /// Name a folder as the output.
    OutputFolder,
    /// Name a checkpoint, a manifest or a model that has the names and shapes.
    Like,
    /// Name a checkpoint with values; a manifest has none.
    LikeCheckpoint,
    /// Say which partition this process writes.
    Partition,
    /// Say how many partitions there are.
    PartitionCount,
}

impl Error {
    /// Something is wrong with the file at `path`.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// The file at `path` is in the way; `remedy` would help.
    pub fn refused(path: &Path, message: impl std::fmt::Display, remedy: Remedy) -> Self {
        Error::Refused { message: format!("{}: {message}", path.display()), remedy }
    }

    /// Wraps an error of the operating system: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }
}
