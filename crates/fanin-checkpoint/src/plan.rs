//! The plan of a checkpoint.

use std::path::PathBuf;

use fanin::init::Init;
use fanin::{Native, Plan};
use fanin_recipe::{Entry, Planned, Replay};

use crate::error::Result;
use crate::feasibility;
use crate::options::{Draw, Partitioning, StreamKind};

/// The plan of a checkpoint: a plan for each tensor, and the options for writing. The creation of a plan checks the
/// request, but draws no values and writes no files.
#[derive(Debug)]
pub struct CheckpointPlan {
    /// All tensors of the manifest, including tensors that the recipe skips.
    pub all: Vec<Planned>,
    /// The tensors that are written: all tensors except those that the recipe skips.
    pub planned: Vec<Planned>,
    /// The path of the checkpoint from which copied tensors take their values.
    pub copies: Option<PathBuf>,
    /// The replay from which the tensors get their values. `None` if the plan comes from a recipe.
    pub replay: Option<Replay>,
    /// The metadata in the headers of the files, as pairs of key and value.
    pub metadata: Vec<(String, String)>,
    /// The options for drawing values.
    pub draw: Draw,
    /// The options for splitting the checkpoint into files, and for splitting the work between processes.
    pub partitioning: Partitioning,
}

impl CheckpointPlan {
    /// Returns the plan of a checkpoint that is one file with one tensor.
    ///
    /// # Errors
    /// Returns an error if the tensor is larger than the maximum size of a file. On the native stream, also returns an
    /// error if the stream does not implement the algorithm of `plan`. On the torch stream, only [`write`](Self::write)
    /// returns this error.
    pub fn of_tensor(entry: Entry, init: &Init, plan: Plan, draw: Draw) -> Result<Self> {
        let planned = vec![Planned::of(entry, init.clone(), plan)];
        feasibility::check(&planned, draw.stream)?;
        let mut metadata = metadata(draw);
        metadata.push(("fanin.spec".to_owned(), init.to_string()));
        let (all, partitioning) = (planned.clone(), Partitioning::default());
        Ok(Self { all, planned, copies: None, replay: None, metadata, draw, partitioning })
    }

    /// Returns the name, type and shape of each tensor that is written.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.planned.iter().map(|planned| planned.entry.clone()).collect()
    }
}

/// Returns metadata that identifies the values: the version of fanin, the stream and the seed. Equal requests have
/// equal metadata.
pub(crate) fn metadata(draw: Draw) -> Vec<(String, String)> {
    let mut metadata = vec![
        // transformers requires this entry. The value `pt` means that the tensors follow the conventions of PyTorch.
        ("format".to_owned(), "pt".to_owned()),
        ("fanin.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("fanin.stream".to_owned(), draw.stream.name().to_owned()),
        ("fanin.seed".to_owned(), draw.seed.to_string()),
    ];
    if draw.stream == StreamKind::Native {
        metadata.push(("fanin.stream_version".to_owned(), Native::VERSION.to_string()));
    }
    metadata
}
