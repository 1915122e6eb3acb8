//! Replays. A replay is a TOML file with the steps by which a PyTorch program initialized the tensors of a model.
//! `docs/trace.md` describes the file format for users.
//!
//! A person writes a recipe before the initialization. A replay is recorded during an initialization. A replay contains
//! the steps that wrote each tensor. A step that drew random values also contains the position of PyTorch's CPU
//! generator. The values of each tensor can therefore be computed independently of the other tensors and in any order.

mod copies;
mod definition;
mod parse;
mod step;
mod written;

use std::path::Path;

use toml::de::DeTable;

pub use self::definition::{Replay, ReplayTensor};
pub use self::step::{Start, Step, StepKind, Values, View};
use super::planned::{Action, Planned};
use super::source;
use crate::error::Result;
use crate::models::Model;

impl Replay {
    /// Returns the replay in the file `name`. Returns `None` if `name` is a built-in model, if there is no such file,
    /// or if the file is not a replay. A replay is a valid TOML file with the table `[replay]`.
    ///
    /// # Errors
    /// Returns the same errors as [`Replay::parse`]. Also returns [`Error::Io`](crate::Error::Io) if the file cannot be
    /// read, and [`Error::File`](crate::Error::File) if the file is not UTF-8 text.
    pub fn find(name: &str) -> Result<Option<Self>> {
        let path = Path::new(name);
        if Model::find(name).is_some() || !path.is_file() {
            return Ok(None);
        }
        let text = source::read(path)?;
        let is_replay = DeTable::parse(&text).is_ok_and(|table| table.get_ref().contains_key("replay"));
        if is_replay { Self::parse(&text, path).map(Some) } else { Ok(None) }
    }

    /// Parses a replay. Error messages show `path`.
    ///
    /// # Errors
    /// Returns [`Error::Recipe`](crate::Error::Recipe) with a line and a column if `text` is not a valid replay.
    /// Examples: the TOML is invalid, a key or a value is unknown, a step does not fit its tensor, elements of a tensor
    /// are never written, or there are too many copies or views.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        parse::parse(text, path)
    }

    /// Returns the tensor `name`: a tensor of the model or a temporary tensor.
    pub fn tensor(&self, name: &str) -> Option<&ReplayTensor> {
        let index = *self.indices.get(name)?;
        self.tensors.get(index).or_else(|| self.temporary.get(index - self.tensors.len()))
    }

    /// Returns the tensors of the model as planned tensors, for writing and displaying a checkpoint.
    pub fn planned(&self) -> Vec<Planned> {
        let planned = self.tensors.iter().map(|tensor| {
            let mut planned = Planned::skipped(tensor.entry.clone());
            planned.action = Action::Replay;
            match tensor.only_step() {
                Some(StepKind::Fill { init, plan, .. }) => {
                    return Planned::of(tensor.entry.clone(), init.clone(), plan.clone());
                }
                Some(StepKind::Copy { name, view: None }) => {
                    let source = self.tensors.iter().find(|other| other.entry.name == *name);
                    planned.tied = source
                        .filter(|source| source.entry.dtype == tensor.entry.dtype)
                        .map(|source| source.entry.name.clone());
                }
                Some(StepKind::Arange) => planned.action = Action::Arange,
                _ => {}
            }
            planned
        });
        planned.collect()
    }
}
