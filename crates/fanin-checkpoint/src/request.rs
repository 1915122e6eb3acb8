//! A request for a checkpoint, and its conversion to a plan.

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
    /// The recipe. It gives an initializer for each tensor.
    pub recipe: &'a Recipe,
    /// The built-in model that the recipe belongs to. `None` if the recipe does not belong to a built-in model.
    pub model: Option<&'a Model>,
    /// The source of the tensors' names, shapes and types: the path of a checkpoint or a manifest, or the name of a
    /// built-in model. `None` uses the tensors of `model`, or else of the built-in model that the recipe extends.
    pub like: Option<&'a Path>,
    /// Pairs of a variable's name and value. Each value replaces the value of the variable in the recipe.
    pub settings: &'a [(String, f64)],
    /// The type of every floating-point tensor for which the recipe does not set a type. `None` uses the manifest's
    /// type.
    pub dtype: Option<DType>,
    /// How values are drawn.
    pub draw: Draw,
    /// How the checkpoint is split into files and between processes.
    pub partitioning: Partitioning,
}

impl Request<'_> {
    /// Plans every tensor of the checkpoint.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read, if the recipe is invalid or does not match the manifest, if no
    /// tensor would be written, or if the stream does not have the algorithm of a plan.
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

    /// Checks that a source exists for copied tensors, and that at least one tensor is written.
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
            // If a variable is set several times, the last value applies.
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
