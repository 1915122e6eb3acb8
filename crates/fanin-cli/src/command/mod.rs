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
use fanin_analysis::check::ModelComparison;
use fanin_checkpoint::Checkpoint;
use fanin_recipe::{Manifest, Model, Recipe};

use crate::args::{Args, Command};
use crate::error::Result;
use crate::terminal::output;

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
            output::line(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

/// Compares the tensors of a checkpoint with a recipe, which is the name of a built-in model or a file.
fn compare_with_recipe(name: &str, settings: &[(String, f64)], file: &Manifest) -> Result<ModelComparison> {
    let (recipe, model) = Recipe::find(name)?;
    Ok(ModelComparison::new(&recipe, settings, file, model.map(Model::manifest))?)
}

/// Opens a checkpoint, and prints warnings about its index.
fn open(path: &Path, quiet: bool) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::open(path)?;
    let file = path.display().to_string();
    let warnings = checkpoint.warnings.iter().map(|text| (file.as_str(), text.clone()));
    output::warnings(warnings, quiet);
    Ok(checkpoint)
}
