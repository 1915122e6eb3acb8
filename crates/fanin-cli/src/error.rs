//! The error type of the command line, and the error messages that contain names of options.

use std::path::{Path, PathBuf};

use fanin_checkpoint::Remedy;

/// The result type of the command line.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error of the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A check failed. The reasons are printed to standard output. The exit code is 1.
    #[error("check failed")]
    CheckFailed,
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The failed operation as a verb, for example `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file cannot be used for the request.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and the remedy.
        message: String,
    },
    /// The output could not be written to standard output.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A checkpoint could not be analyzed, or an initializer could not be explained.
    #[error("{}", analysis(.0))]
    Analysis(#[from] fanin_analysis::Error),
    /// A checkpoint could not be planned, read or written.
    #[error("{}", checkpoint(.0))]
    Checkpoint(#[from] fanin_checkpoint::Error),
    /// A recipe or a manifest is invalid.
    #[error("{}", recipe(.0))]
    Recipe(#[from] fanin_recipe::Error),
    /// A spec or one of its arguments is invalid.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// Any other invalid request.
    #[error("{0}")]
    Request(String),
}

impl Error {
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Returns a function that wraps an error of the operating system. Usage: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }

    /// Returns true if standard output is a pipe that its reader has closed.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Returns the message for an error of the crate `fanin-analysis`.
fn analysis(error: &fanin_analysis::Error) -> String {
    match error {
        fanin_analysis::Error::Checkpoint(error) => checkpoint(error),
        fanin_analysis::Error::Recipe(error) => recipe(error),
        other => other.to_string(),
    }
}

/// Returns the message for an error of the crate `fanin-recipe`. If a model or a recipe is unknown and has no similar
/// name, the message names the command `fanin models`.
fn recipe(error: &fanin_recipe::Error) -> String {
    match error {
        fanin_recipe::Error::UnknownModel { suggestion: None, .. }
        | fanin_recipe::Error::UnknownRecipe { suggestion: None, .. } => {
            format!("{error}: `fanin models` lists the models")
        }
        other => other.to_string(),
    }
}

/// Returns the message for an error of the crate `fanin-checkpoint`. If an option avoids the error, such as `--force`,
/// the message names the option.
fn checkpoint(error: &fanin_checkpoint::Error) -> String {
    let fanin_checkpoint::Error::Refused { message, remedy } = error else {
        return match error {
            fanin_checkpoint::Error::Recipe(error) => recipe(error),
            other => other.to_string(),
        };
    };
    match remedy {
        Remedy::Force => format!("{message}: use --force to replace it"),
        Remedy::ForceOrResume => {
            format!(
                "{message}: use --force to replace it, or, with init, --resume to keep it if it is complete and correct"
            )
        }
        Remedy::OutputFolder => format!("{message}: use --output DIR/"),
        Remedy::Like => format!(
            "{message}: use --like with a checkpoint, a manifest in JSON (`fanin models gpt2 --manifest` prints one), or \
             the name of a built-in model"
        ),
        Remedy::LikeCheckpoint => format!(
            "{message}: use --like model.safetensors (a checkpoint with values instead of a manifest), or \"skip\" the tensor"
        ),
        Remedy::Partition => format!("--part auto: {message}: use --part k/n"),
        Remedy::PartitionCount => format!("--part auto: {message}: use --part auto/n"),
        _ => message.clone(),
    }
}
