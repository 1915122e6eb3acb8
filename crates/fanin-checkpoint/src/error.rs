//! The error type of this crate.

use std::path::{Path, PathBuf};

/// The result type of this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error that occurred while a checkpoint was planned, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, created or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed operation as a verb, for example `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file has invalid content, or cannot be used for the request.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and the remedy.
        message: String,
    },
    /// The request is not allowed without another option.
    #[error("{message}")]
    Refused {
        /// The reason why the request is not allowed.
        message: String,
        /// The option that allows the request.
        remedy: Remedy,
    },
    /// A tensor cannot be initialized as requested.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The name of the tensor. In some errors, the recipe's rule for the tensor comes before the name.
        tensor: String,
        /// The reason why the tensor cannot be initialized.
        source: fanin::Error,
    },
    /// A recipe or a manifest is invalid.
    #[error(transparent)]
    Recipe(#[from] fanin_recipe::Error),
    /// A spec or one of its arguments is invalid.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// The operation was cancelled through its [`fanin::CancelToken`].
    #[error("interrupted")]
    Interrupted,
    /// Any other invalid request.
    #[error("{0}")]
    Request(String),
}

/// The option that allows a refused request ([`Error::Refused`]).
///
/// The name of the option depends on the interface, for example `--force` on the command line and `force=True` in
/// Python. Each interface adds its own name of the option to the error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Replace existing files.
    Force,
    /// Replace existing files, or resume. Resuming keeps existing files that are complete and correct.
    ForceOrResume,
    /// Write to a folder.
    OutputFolder,
    /// Give a source of the tensors' names and shapes: a checkpoint, a manifest or a built-in model.
    Like,
    /// Give a checkpoint from which values can be copied. A manifest has no values.
    LikeCheckpoint,
    /// Give the number of the partition that this process writes, from 1 on, and the count of partitions.
    Partition,
    /// Give the number of partitions, because the launcher has set only the index of this process.
    PartitionCount,
}

impl Error {
    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Returns an [`Error::Refused`] whose message begins with `path`.
    pub(crate) fn refused(path: &Path, message: impl std::fmt::Display, remedy: Remedy) -> Self {
        Error::Refused { message: format!("{}: {message}", path.display()), remedy }
    }

    /// Returns a function that wraps an error of the operating system. Usage: `.map_err(Error::io("read", path))`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }
}
