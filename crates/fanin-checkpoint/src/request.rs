//! From a recipe to the plan of a checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fanin::init::Init;
use fanin::{CancelToken, DType, Native, Plan};
use fanin_recipe::{Action, Entry, Manifest, Model, Planned, Recipe};

use crate::checkpoint::read_manifest;
use crate::error::{Error, Remedy, Result};
use crate::options::{Draw, Partitioning, StreamKind};
use crate::progress::Progress;
use crate::target::Target;
use crate::write::{self, PlannedFile, Written};

/// An initial checkpoint as the caller describes it.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which parameter gets which initializer.
    pub recipe: &'a Recipe,
    /// The built-in model whose recipe it is, if it is one.
    pub model: Option<&'a Model>,
    /// Names, shapes and types: a checkpoint, a manifest or a built-in model. `None` takes those of `model`, or of the
    /// built-in model that the recipe extends.
    pub like: Option<&'a Path>,
    /// Variables of the recipe.
    pub settings: &'a [(String, f64)],
    /// The type of every floating-point tensor whose type the recipe does not choose; `None` keeps the manifest's.
    pub dtype: Option<DType>,
    /// How the values are drawn.
    pub draw: Draw,
    /// How the checkpoint is split into files and between processes.
    pub partitioning: Partitioning,
}

/// A checkpoint with every tensor planned and every error raised; nothing is drawn or written yet.
#[derive(Debug)]
pub struct CheckpointPlan {
    /// All tensors of the manifest, those that the recipe skips included.
    pub all: Vec<Planned>,
    /// The tensors that are written.
    pub planned: Vec<Planned>,
    /// The checkpoint that has the values of copied tensors.
    pub copies: Option<PathBuf>,
    /// The header's metadata.
    pub metadata: Vec<(String, String)>,
    /// How the values are drawn.
    pub draw: Draw,
    /// How the checkpoint is split into files and between processes.
    pub partitioning: Partitioning,
}

impl Request<'_> {
    /// Plans every tensor.
    ///
    /// # Errors
    /// Everything that is wrong with the recipe, the manifest or the two together; nothing to write.
    pub fn plan(&self) -> Result<CheckpointPlan> {
        let manifest = self.manifest()?;
        if manifest.entries.is_empty() {
            return Err(Error::Request("there are no tensors to initialize".to_owned()));
        }
        let all = self.recipe.plan_with_dtype(&manifest, self.settings, self.dtype)?;
        let copies = self.like.filter(|_| manifest.entries.iter().any(|entry| entry.offsets.is_some()));
        if let (None, Some(copied)) = (copies, all.iter().find(|planned| planned.action == Action::Copy)) {
            let message = format!(
                "{}: the rule {:?} copies it, but there are no values to copy",
                copied.entry.name, copied.pattern
            );
            let message = self.recipe.error_at(copied, message, "").to_string();
            return Err(Error::Refused { message, remedy: Remedy::LikeCheckpoint });
        }
        if all.iter().all(|planned| planned.action == Action::Skip) {
            let message = "every tensor is skipped: the checkpoint would be empty";
            return Err(self
                .recipe
                .error_at(&all[0], message, "give a spec to what is to be written")
                .into());
        }
        let planned: Vec<Planned> =
            all.iter().filter(|planned| planned.action != Action::Skip).cloned().collect();
        write::check(&planned, self.draw.stream)?;
        let mut metadata = metadata(self.draw);
        metadata.push(("fanin.recipe".to_owned(), self.recipe.flatten(&manifest)));
        if let Some(model) = self.model {
            metadata.push(("fanin.model".to_owned(), model.name.to_owned()));
        }
        if !self.settings.is_empty() {
            // The last setting of a name counts.
            let last: BTreeMap<_, _> = self.settings.iter().cloned().collect();
            let last: Vec<String> = last.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            metadata.push(("fanin.set".to_owned(), last.join(",")));
        }
        let copies = copies.map(Path::to_owned);
        Ok(CheckpointPlan {
            all,
            planned,
            copies,
            metadata,
            draw: self.draw,
            partitioning: self.partitioning,
        })
    }

    fn manifest(&self) -> Result<Manifest> {
        match (self.like, self.model, self.recipe.base().and_then(Model::find)) {
            (Some(path), ..) => read_manifest(path),
            (None, Some(model), _) => Ok(model.manifest()),
            (None, None, Some(base)) => Ok(base.manifest()),
            (None, None, None) => Err(Error::Refused {
                message: "a recipe needs names and shapes".to_owned(),
                remedy: Remedy::Like,
            }),
        }
    }
}

impl CheckpointPlan {
    /// A checkpoint of one tensor.
    ///
    /// # Errors
    /// A plan that the stream cannot carry out.
    pub fn of_tensor(entry: Entry, init: &Init, plan: Plan, draw: Draw) -> Result<Self> {
        let planned = vec![Planned::of(entry, init.clone(), plan)];
        write::check(&planned, draw.stream)?;
        let mut metadata = metadata(draw);
        metadata.push(("fanin.spec".to_owned(), init.to_string()));
        let (all, partitioning) = (planned.clone(), Partitioning::default());
        Ok(Self { all, planned, copies: None, metadata, draw, partitioning })
    }

    /// The files that the checkpoint will consist of, the index included. None for a checkpoint in one file.
    pub fn files(&self) -> Vec<PlannedFile> {
        if self.partitioning.in_files() {
            write::planned_files(&self.planned, &self.metadata, self.draw.stream, self.partitioning)
        } else {
            Vec::new()
        }
    }

    /// Checks whether existing files would prevent the checkpoint from being written to `target`.
    ///
    /// # Errors
    /// As [`CheckpointPlan::write`], for what exists at the target.
    pub fn check_target(&self, target: &Target) -> Result {
        match self.partitioning.partition {
            // A partition of one file is written into what exists, if that is the same file.
            Some(_) if !self.partitioning.in_files() => Ok(()),
            _ => write::check_target(
                target,
                &self.planned,
                &self.metadata,
                self.draw.stream,
                self.partitioning,
            ),
        }
    }

    /// The number of bytes of the values that this process writes or compares.
    pub fn bytes(&self) -> u64 {
        write::bytes(&self.planned, self.draw.stream, self.partitioning)
    }

    /// Writes the checkpoint, or this process's partition of it. A file takes its name when all of it is on the disk.
    ///
    /// # Errors
    /// Existing files that must not be replaced, what the operating system reports, and [`Error::Interrupted`] soon
    /// after `cancel` is cancelled. Files that existed before are then unchanged.
    pub fn write(&self, target: &Target, progress: &dyn Progress, cancel: &CancelToken) -> Result<Written> {
        write::checkpoint(self, target, progress, cancel)
    }
}

/// The metadata that describes where a checkpoint comes from: enough to make it again, and the same in every run.
fn metadata(draw: Draw) -> Vec<(String, String)> {
    let mut metadata = vec![
        // transformers expects the name of the framework whose conventions the tensors follow.
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
