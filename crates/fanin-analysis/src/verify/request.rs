//! What a checkpoint is compared with.

use fanin_checkpoint::StreamKind;
use fanin_recipe::{Manifest, Recipe};

/// What a checkpoint is compared with.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Values of the recipe's variables.
    pub settings: &'a [(String, f64)],
    /// The names, shapes and types that the checkpoint must have; `None` leaves them unchecked.
    pub model: Option<Manifest>,
    /// Whether the caller chose `model`. If not, it is the built-in model of the recipe.
    pub model_given: bool,
    /// The seed. With a seed, every value is compared bit for bit.
    pub seed: Option<u64>,
    /// The stream that generated the values.
    pub stream: StreamKind,
    /// The largest acceptable probability that a correct checkpoint fails.
    pub alpha: f64,
    /// Whether tensors with the same values are expected: tied weights that are stored twice.
    pub tied: bool,
}
