//! The `fanin` command line: arguments, commands and terminal output.
//!
//! The binary calls [`run`]. The `fanin` command of the Python package calls [`run_from`].

#![forbid(unsafe_code)]

mod args;
mod command;
mod error;
mod interrupt;
mod run;
mod terminal;

pub use run::{run, run_from};
