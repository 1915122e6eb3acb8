//! A request for a checkpoint, and how it becomes a plan.

use std::collections::BTreeMap;
use std::path::Path;

use fanin::DType;
use fanin_recipe::{Action, Manifest, Model, Planned, Recipe};

use crate::checkpoint::read_manifest;
use crate::error::{Error, Remedy, Result};
use crate::feasibility;
use crate::options::{Draw, Partitioning};
use crate::plan::{CheckpointPlan, metadata};

/// A request for a checkpoint with the initial weights of a model.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe, which gives each tensor its initializer.
    pub recipe: &'a Recipe,
    /// The built-in model that the recipe belongs to, if any.
    pub model: Option<&'a Model>,
    /// The file that has the tensors' names, shapes and types: a checkpoint, a manifest, or the name of a built-in model.
    /// `None` uses the tensors of `model`, or of the built-in model that the recipe extends.
    pub like: Option<&'a Path>,
    /// Pairs of a variable's name and its value. The value replaces the one that the recipe gives.
    pub settings: &'a [(String, f64)],
    /// The type of every floating-point tensor for which the recipe does not choose one. `None` keeps the manifest's type.
    pub dtype: Option<DType>,
    /// How values are drawn.
    pub draw: Draw,
    /// How the checkpoint is split into files and between processes.
    pub partitioning: Partitioning,
}

impl Request<'_> {
    /// Plans every tensor.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read, if the recipe is invalid or does not match the manifest, if no
    /// tensor is to be written, or if the stream does not have the algorithm of a plan.
    pub fn plan(&self) -> Result<CheckpointPlan> {
        let manifest = self.manifest()?;
        if manifest.entries.is_empty() {
            return Err(Error::Request("there are no tensors to initialize".to_owned()));
        }
        let all = self.recipe.plan_with_dtype(&manifest, self.settings, self.dtype)?;
        let copies = self.like.filter(|_| manifest.entries.iter().any(|entry| entry.offsets.is_some()));
        self.check_actions(&all, copies.is_some())?;
        let planned: Vec<Planned> =
            all.iter().filter(|planned| planned.action != Action::Skip).cloned().collect();
        feasibility::check(&planned, self.draw.stream)?;
        Ok(CheckpointPlan {
            all,
            planned,
            copies: copies.map(Path::to_owned),
            metadata: self.metadata(&manifest),
            draw: self.draw,
            partitioning: self.partitioning,
        })
    }

    /// Checks that copied tensors have a source, and that at least one tensor is not skipped.
    fn check_actions(&self, all: &[Planned], has_values: bool) -> Result {
        let copied = all.iter().find(|planned| planned.action == Action::Copy);
        if let Some(copied) = copied.filter(|_| !has_values) {
            let message = format!(
                "{}: the rule {:?} copies it, but there are no values to copy",
                copied.entry.name, copied.pattern
            );
            let message = self.recipe.error_at(copied, message, "").to_string();
            return Err(Error::Refused { message, remedy: Remedy::LikeCheckpoint });
        }
        if all.iter().all(|planned| planned.action == Action::Skip) {
            let message = "every tensor is skipped, so the checkpoint would be empty";
            let remedy = "give a spec for the tensors to write";
            return Err(self.recipe.error_at(&all[0], message, remedy).into());
        }
        Ok(())
    }

    /// Returns the metadata of the files' headers.
    fn metadata(&self, manifest: &Manifest) -> Vec<(String, String)> {
        let mut metadata = metadata(self.draw);
        metadata.push(("fanin.recipe".to_owned(), self.recipe.flatten(manifest)));
        if let Some(model) = self.model {
            metadata.push(("fanin.model".to_owned(), model.name.to_owned()));
        }
        if !self.settings.is_empty() {
            // If a variable is set several times, the last value is used.
            let last: BTreeMap<_, _> = self.settings.iter().cloned().collect();
            let last: Vec<String> = last.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            metadata.push(("fanin.set".to_owned(), last.join(",")));
        }
        metadata
    }

    fn manifest(&self) -> Result<Manifest> {
        match (self.like, self.model, self.recipe.base().and_then(Model::find)) {
            (Some(path), ..) => read_manifest(path),
            (None, Some(model), _) => Ok(model.manifest()),
            (None, None, Some(base)) => Ok(base.manifest()),
            (None, None, None) => Err(Error::Refused {
                message: "the recipe needs the names and shapes of tensors".to_owned(),
                remedy: Remedy::Like,
            }),
        }
    }
}
