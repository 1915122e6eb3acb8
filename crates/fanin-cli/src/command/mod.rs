//! The commands. Each command has a module.

mod audit;
mod diff;
mod dry_run;
mod explain;
mod fill;
mod init;
mod input;
mod inspect;
mod models;
mod recipe_draft;
mod schemes;
mod verify;
mod write;

use clap::CommandFactory as _;

use crate::args::{Args, Command};
use crate::error::Result;
use crate::terminal::output;

/// Runs a command.
///
/// # Errors
/// Returns an error if the request is invalid, if a file cannot be read or written, or if a check fails.
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
        Command::Schemes(args) => schemes::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "fanin", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end())
        }
    }
}
