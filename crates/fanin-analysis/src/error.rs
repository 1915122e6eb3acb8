//! The error type of this crate.

/// The result type of this crate's functions.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// An error from checking a checkpoint or explaining a spec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] fanin_checkpoint::Error),
    /// The expected values of a tensor cannot be generated.
    #[error("{tensor}: {source}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// The error that occurred when the values were generated.
        source: fanin::Error,
    },
    /// A recipe or a manifest is invalid.
    #[error(transparent)]
    Recipe(#[from] fanin_recipe::Error),
    /// A spec is invalid, or cannot be resolved for a shape.
    #[error(transparent)]
    Spec(#[from] fanin::Error),
    /// The request is invalid or cannot be carried out. The message says why.
    #[error("{0}")]
    Request(String),
}
