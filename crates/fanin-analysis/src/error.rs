//! The error type of this crate.

/// The result of anything in this crate.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error while checking a checkpoint or explaining a spec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] fanin_checkpoint::Error),
    /// A tensor's values cannot be drawn for comparison.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The tensor's name.
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
    /// Anything else that is wrong with the request.
    #[error("{0}")]
    Request(String),
}
