//! Functions that read the inputs of commands: checkpoints and recipes.

use std::path::Path;

use fanin_analysis::check::ModelComparison;
use fanin_checkpoint::Checkpoint;
use fanin_recipe::{Manifest, Model, Recipe};

use crate::error::Result;
use crate::terminal::output;

/// Compares the tensors of a checkpoint with a recipe. `name` is the name of a built-in model or the path of a recipe
/// file.
pub(super) fn compare_with_recipe(
    name: &str,
    settings: &[(String, f64)],
    file: &Manifest,
) -> Result<ModelComparison> {
    let (recipe, model) = Recipe::find(name)?;
    Ok(ModelComparison::new(&recipe, settings, file, model.map(Model::manifest))?)
}

/// Opens a checkpoint, and prints the warnings about its index unless `quiet` is true.
pub(super) fn open(path: &Path, quiet: bool) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::open(path)?;
    let file = path.display().to_string();
    let warnings = checkpoint.warnings.iter().map(|text| (file.as_str(), text.clone()));
    output::warnings(warnings, quiet);
    Ok(checkpoint)
}
