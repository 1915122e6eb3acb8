//! Replays. A replay is a TOML file that says how PyTorch's CPU generator gave the tensors of a model their values.
//! `docs/trace.md` describes the file format for users.
//!
//! A recipe says what each tensor should get. A replay says what each tensor got: for each tensor, the steps that wrote
//! it, and for each random fill, the position in the sequence of random words at which torch drew it. With a replay,
//! the values of every tensor can be computed alone and in any order.

mod definition;
mod parse;
mod step;

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
    /// or if the file is not a replay. A file is a replay if it has the table `[replay]`.
    ///
    /// # Errors
    /// The errors of [`Replay::parse`]. Returns [`Error::Io`](crate::Error::Io) if the file cannot be read.
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
    /// Returns [`Error::Recipe`](crate::Error::Recipe) if the TOML is invalid, if a key or a value is unknown, if a
    /// step does not fit its tensor, or if elements of a tensor are never written. The diagnostic has a line and a
    /// column.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        parse::parse(text, path)
    }

    /// Returns the tensor with this name, which may be a temporary tensor.
    pub fn tensor(&self, name: &str) -> Option<&ReplayTensor> {
        let index = *self.indices.get(name)?;
        self.tensors.get(index).or_else(|| self.temporary.get(index - self.tensors.len()))
    }

    /// Returns the tensors of the model as planned tensors, for planning and showing a checkpoint.
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
