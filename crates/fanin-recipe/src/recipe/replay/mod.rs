//! Replays. A replay is a TOML file that says how PyTorch's CPU generator gave the tensors of a model their values.
//! `docs/trace.md` describes the file format for users.
//!
//! A recipe says what each tensor should get. A replay says what each tensor got: for each tensor, the steps that wrote
//! it, and for each random fill, the position in the sequence of random words at which torch drew it. With a replay,
//! the values of every tensor can be computed alone and in any order.

mod parse;
mod step;

use std::collections::HashMap;
use std::path::Path;

use toml::de::DeTable;

pub use self::step::{Start, Step, StepKind, Values, View};
use super::planned::{Action, Planned};
use super::source;
use crate::error::Result;
use crate::manifest::Entry;
use crate::models::Model;

/// A parsed replay: the tensors of a model, and the steps that give them their values.
#[derive(Debug)]
pub struct Replay {
    /// The seed of torch's generator.
    pub seed: u64,
    /// The text that the replay was parsed from.
    pub text: String,
    /// The tensors of the model, in order.
    pub tensors: Vec<ReplayTensor>,
    /// Tensors that other tensors copy, and that are not part of the model.
    temporary: Vec<ReplayTensor>,
    /// For each name, the index of the tensor: first those of `tensors`, then those of `temporary`.
    indices: HashMap<String, usize>,
}

/// A tensor of a replay.
#[derive(Debug)]
pub struct ReplayTensor {
    /// The name, the shape and the dtype.
    pub entry: Entry,
    /// The strides of the memory that the steps write. `None` if the memory is contiguous in row-major order.
    pub strides: Option<Vec<usize>>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl ReplayTensor {
    /// Returns the view of the whole tensor.
    pub fn view(&self) -> View {
        let strides = self.strides.clone().unwrap_or_else(|| View::row_major(&self.entry.shape));
        View { offset: 0, shape: self.entry.shape.clone(), strides }
    }

    /// Returns the only step of the tensor, if the tensor has one step that writes all of it in row-major order.
    pub fn only_step(&self) -> Option<&StepKind> {
        match self.steps.as_slice() {
            [Step { view: None, kind }] if self.strides.is_none() => Some(kind),
            _ => None,
        }
    }
}

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
