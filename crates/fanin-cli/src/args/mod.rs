//! The arguments of the command line.

mod check;
mod choices;
mod explain;
mod init;
mod init_help;
mod inspect;
mod value;

use clap::{Parser, Subcommand};

pub use check::{Audit, Diff, Verify};
pub use choices::Color;
pub use explain::{Draft, Explain, Schemes};
pub use init::{Fill, Init, Output};
pub use inspect::{Inspect, Models};

/// Initialize the weights of neural networks: write, check and explain initial checkpoints.
#[derive(Debug, Parser)]
#[command(
    name = "fanin",
    bin_name = "fanin",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Run `fanin COMMAND --help` for examples.

The `fanin` command of the Python package also has check-init, trace, probe and coord-check, which need torch.

Exit code:
  0    success
  1    check failed (verify, audit, diff)
  2    any other error: invalid arguments, an unreadable file, a failed write
  128 + N  stopped by signal N: 129 SIGHUP, 130 SIGINT (Ctrl-C), 143 SIGTERM

On Linux, signals that are ignored when fanin starts (for example by nohup) stay ignored.")]
pub struct Args {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Do not print progress, warnings and summaries to standard error.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colors.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write an initial checkpoint from a recipe and a seed.
    Init(Init),
    /// Write a checkpoint of one tensor.
    Fill(Fill),
    /// Show the tensors of a checkpoint and their statistics.
    Inspect(Inspect),
    /// Check a checkpoint against its recipe: the distributions and, with --seed, the exact values.
    Verify(Verify),
    /// Check a checkpoint without a recipe: report how each tensor was initialized, and report defects.
    Audit(Audit),
    /// Compare two checkpoints, tensor by tensor.
    Diff(Diff),
    /// Explain an initializer for a shape: fans, gain, std, bounds, formula, source, effect on a signal.
    Explain(Explain),
    /// Draft a recipe from the names, the shapes and the config.json of a model.
    Recipe(Draft),
    /// List the built-in models, or show one of them.
    Models(Models),
    /// List the schemes that a spec can name, with arguments, defaults, formula and source.
    Schemes(Schemes),
    /// Print a completion script for a shell.
    #[command(after_long_help = "Examples:
  fanin completions bash > ~/.local/share/bash-completion/completions/fanin
  fanin completions zsh > ~/.zfunc/_fanin
  fanin completions fish > ~/.config/fish/completions/fanin.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_of_the_command_line_are_consistent() {
        Args::command().debug_assert();
    }
}
