//! What each command does.

mod audit;
mod diff;
mod dry_run;
mod explain;
mod fill;
mod init;
mod inspect;
mod models;
mod recipe_draft;
mod verify;

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::check::model::Held;
use crate::checkpoint::set::Checkpoints;
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::Manifest;
use crate::models::{MODELS, Model};
use crate::recipe::Recipe;

pub use explain::answer as explain;
pub use init::of as init;
pub use recipe_draft::of as draft;

/// Carries out a command.
///
/// # Errors
/// Everything that is wrong with the request, or goes wrong on the way.
pub fn run(args: Args) -> Result {
    let quiet = args.quiet;
    match args.command {
        Command::Init(args) => init::run(&args, quiet),
        Command::Fill(args) => fill::run(&args, quiet),
        Command::Inspect(args) => inspect::run(&args, quiet),
        Command::Verify(args) => verify::run(&args, quiet),
        Command::Audit(args) => audit::run(&args, quiet),
        Command::Diff(args) => diff::run(&args, quiet),
        Command::Explain(args) => explain::run(&args, quiet),
        Command::Recipe(args) => recipe_draft::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "fanin", &mut script);
            crate::report::line(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

/// Names, shapes and types by a file, or by a built-in model's name.
fn manifest(path: &Path) -> Result<Manifest> {
    match path.to_str().and_then(Model::find).filter(|_| !path.exists()) {
        Some(model) => Ok(model.manifest()),
        None => Manifest::read(path),
    }
}

/// A file held against a recipe, by its model's name or its file, and against the tensors of `like`; without one, against
/// those of the built-in model whose recipe it is.
fn held(name: &str, settings: &[(String, f64)], file: &Manifest, like: Option<&Path>) -> Result<Held> {
    let (recipe, model) = recipe(name)?;
    let model = like.map(manifest).transpose()?.or_else(|| model.map(Model::manifest));
    Held::new(&recipe, settings, file, model)
}

/// Opens a checkpoint, and says what is odd about its index.
fn open(path: &Path, quiet: bool) -> Result<Checkpoints> {
    let checkpoint = Checkpoints::open(path)?;
    let file = path.display().to_string();
    let odd = checkpoint.warnings.iter().map(|text| (file.as_str(), text.clone()));
    crate::report::warnings(odd, quiet);
    Ok(checkpoint)
}

/// A recipe by the name of a built-in model, or by its file.
///
/// # Errors
/// A name that is neither, a file that is no recipe.
pub fn recipe(name: &str) -> Result<(Recipe, Option<&'static Model>)> {
    if let Some(model) = Model::find(name) {
        return Ok((Recipe::built_in(model)?, Some(model)));
    }
    let path = Path::new(name);
    // Models have dots in their names: a slip in one of them is no file name.
    let named_as_recipe = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if path.exists() || named_as_recipe || path.components().count() > 1 {
        return Ok((Recipe::read(path)?, None));
    }
    let hint = did_you_mean(name, MODELS.iter().map(|model| model.name));
    let hint = if hint.is_empty() { ": `fanin models` lists the models".to_owned() } else { hint };
    Err(Error::Request(format!("{name:?} is neither a built-in model nor a recipe file{hint}")))
}
