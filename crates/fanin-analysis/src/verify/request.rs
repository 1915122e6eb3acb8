//! The recipe, model and seed with which a checkpoint is compared.

use fanin_checkpoint::{Checkpoint, StreamKind};
use fanin_recipe::{Manifest, Recipe};

/// The recipe, model and seed with which a checkpoint is compared.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The values of variables of the recipe. Each pair has the name and the value of a variable.
    pub settings: &'a [(String, f64)],
    /// The names, shapes and types that the checkpoint must have. If `None`, they are not checked.
    pub model: Option<Manifest>,
    /// Whether the caller chose `model`. If `false`, `model` is the built-in model of the recipe.
    pub model_given: bool,
    /// The checkpoint from which the recipe copies tensors. If `None`, copied tensors are not checked.
    pub copied: Option<&'a Checkpoint>,
    /// Whether the checkpoint may lack tensors of the model.
    pub partial: bool,
    /// The seed that generated the values. If `None`, only the distributions are tested. Otherwise every value is also
    /// compared with the value that the seed gives.
    pub seed: Option<u64>,
    /// The stream that generated the values from the seed.
    pub stream: StreamKind,
    /// The largest acceptable probability that a correct checkpoint fails.
    pub alpha: f64,
    /// Whether tensors with the same values are expected, as for tied weights that are stored twice. If `false`, two
    /// tensors with the same random values fail.
    pub tied: bool,
}
