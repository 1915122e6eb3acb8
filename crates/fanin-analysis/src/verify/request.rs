//! The recipe, model and seed with which a checkpoint is compared.

use fanin_checkpoint::{Checkpoint, StreamKind};
use fanin_recipe::{Manifest, Recipe};

/// The recipe, model and seed with which a checkpoint is compared.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The name and the value of each variable of the recipe that the caller sets.
    pub settings: &'a [(String, f64)],
    /// The names, shapes and types that the checkpoint must have. If `None`, they are not checked.
    pub model: Option<Manifest>,
    /// Whether the caller gave `model`. If false, `model` is the built-in model to which the recipe belongs, or `None`.
    pub model_given: bool,
    /// The checkpoint from which the recipe copies tensors. If `None`, copied tensors are not checked.
    pub copied: Option<&'a Checkpoint>,
    /// Whether the checkpoint may lack tensors of the model.
    pub partial: bool,
    /// The seed that generated the values. With a seed, every value is compared with its exact expected value. If
    /// `None`, only the distributions are tested.
    pub seed: Option<u64>,
    /// The stream that generated the values. It is used only with a seed.
    pub stream: StreamKind,
    /// The largest acceptable probability that a correct checkpoint fails (the significance level).
    pub alpha: f64,
    /// Whether several tensors may have the same values, such as tied weights that are stored twice. If false, two
    /// tensors with the same random values make the check fail.
    pub tied: bool,
}
