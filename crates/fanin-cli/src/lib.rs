//! The command line of fanin as a library: recipes, manifests, checkpoints and reports.
//!
//! A [`recipe::Recipe`] and a [`manifest::Manifest`] make a list of [`recipe::Planned`] tensors, which
//! [`checkpoint::write`] streams into a file and [`command`] talks about. The binary is a thin shell over [`run`].

#![forbid(unsafe_code)]

pub mod args;
pub mod checkpoint;
pub mod command;
pub mod error;
pub mod manifest;
pub mod models;
pub mod recipe;
pub mod report;

pub use error::{Error, Result};

use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command line on the process's own arguments: exit code 0 for good, 1 if the answer is no, 2 for bad usage
/// or input.
pub fn run() -> ExitCode {
    let args = args::Args::parse();
    args.color.apply();
    match command::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m {error}");
            ExitCode::from(2)
        }
    }
}
