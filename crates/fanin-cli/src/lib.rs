//! The command line of fanin as a library: recipes, manifests, checkpoints and reports.
//!
//! A [`recipe::Recipe`] and a [`manifest::Manifest`] make a list of [`recipe::Planned`] tensors, which
//! `checkpoint::write` streams into a file and `command` talks about. The binary is a thin shell over `run`. Without the
//! feature `command` only the first three are here, and [`numbers::Numbers`], for programs that draw into memory of their own.

#![forbid(unsafe_code)]

#[cfg(feature = "command")]
pub mod args;
#[cfg(feature = "command")]
pub mod check;
pub mod checkpoint;
#[cfg(feature = "command")]
pub mod command;
pub mod error;
#[cfg(feature = "command")]
pub mod explain;
pub mod manifest;
pub mod models;
pub mod numbers;
pub mod recipe;
pub mod report;
#[cfg(feature = "command")]
mod run;
pub mod stored;
#[cfg(feature = "command")]
pub mod survey;

pub use error::{Error, Result};
#[cfg(feature = "command")]
pub use run::{run, run_from};
