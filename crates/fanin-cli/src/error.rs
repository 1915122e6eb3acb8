//! What can go wrong, said so that it can be mended.

use std::path::{Path, PathBuf};

pub use crate::recipe::Complaint;

/// The result of anything here.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error of the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The question was answered, and the answer is no: exit code 1, and nothing to add.
    #[error("the answer is no")]
    No,
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A file is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        message: String,
    },
    /// Something is wrong with a recipe: each complaint has its file, line and column.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Recipe(Vec<Complaint>),
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
    /// Whoever asked has thought better of it.
    #[error("interrupted")]
    Interrupted,
    /// Anything else that is wrong with the request.
    #[error("{0}")]
    Request(String),
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

    /// Whether output ended because nobody reads it.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// " did you mean NAME?" if a candidate is near, else nothing.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| format!(": did you mean {candidate}?"))
        .unwrap_or_default()
}
