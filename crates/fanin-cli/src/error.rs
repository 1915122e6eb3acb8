//! The errors of the command line, and their wording.

use std::path::{Path, PathBuf};

use fanin_checkpoint::Remedy;

/// The result of anything here.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error of the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The check failed: exit code 1, and the report says why.
    #[error("check failed")]
    CheckFailed,
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
    /// A file cannot be used.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        message: String,
    },
    /// Output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// An error of a check.
    #[error("{}", analysis(.0))]
    Analysis(#[from] fanin_analysis::Error),
    /// An error of reading or writing a checkpoint.
    #[error("{}", checkpoint(.0))]
    Checkpoint(#[from] fanin_checkpoint::Error),
    /// An error of a recipe or a manifest.
    #[error("{}", recipe(.0))]
    Recipe(#[from] fanin_recipe::Error),
    /// A spec or its numbers are wrong.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// Anything else that is wrong with the request.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// Something is wrong with the file at `path`.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Error::File { path: path.to_owned(), message: message.into() }
    }

    /// Wraps an error of the operating system: `.map_err(Error::io("read", path))`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }

    /// Whether the reader of the output has closed it.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn analysis(error: &fanin_analysis::Error) -> String {
    match error {
        fanin_analysis::Error::Checkpoint(error) => checkpoint(error),
        fanin_analysis::Error::Recipe(error) => recipe(error),
        other => other.to_string(),
    }
}

fn recipe(error: &fanin_recipe::Error) -> String {
    match error {
        fanin_recipe::Error::UnknownModel { suggestion: None, .. }
        | fanin_recipe::Error::UnknownRecipe { suggestion: None, .. } => {
            format!("{error}: `fanin models` lists the models")
        }
        other => other.to_string(),
    }
}

/// The message, with the option that helps as it is typed.
fn checkpoint(error: &fanin_checkpoint::Error) -> String {
    let fanin_checkpoint::Error::Refused { message, remedy } = error else {
        return match error {
            fanin_checkpoint::Error::Recipe(error) => recipe(error),
            other => other.to_string(),
        };
    };
    match remedy {
        Remedy::Force => format!("{message}: --force replaces it"),
        Remedy::ForceOrResume => {
            format!("{message}: --force replaces it, init's --resume keeps it if it is right")
        }
        Remedy::OutputFolder => format!("{message}: --output DIR/"),
        Remedy::Like => format!(
            "{message}: add --like model.safetensors (only its header is read), or --like manifest.json (`fanin models gpt2 \
             --manifest` prints one)"
        ),
        Remedy::LikeCheckpoint => format!(
            "{message}: say --like model.safetensors, a checkpoint that has them and no manifest, or skip it"
        ),
        Remedy::Partition => format!("--part auto: {message}: say --part k/n"),
        Remedy::PartitionCount => format!("--part auto: {message}: say --part auto/n"),
        _ => message.clone(),
    }
}
