//! The command line of fanin: arguments, commands, terminal output. The binary and the Python package's `fanin` command
//! call [`run_from`].

#![forbid(unsafe_code)]

mod args;
mod command;
mod error;
mod interrupt;
mod run;
mod terminal;

pub use run::{run, run_from};
