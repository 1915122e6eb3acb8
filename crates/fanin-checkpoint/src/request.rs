//! `Request`, which describes a checkpoint to be written, and the conversion of a request to a plan.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fanin::{DType, Initializer as _};
use fanin_recipe::{Action, Entry, Manifest, Model, Planned, Recipe, Rest};

use crate::checkpoint::{Checkpoint, read_manifest};
use crate::copies::{Fit, fit};
use crate::error::{Error, Remedy, Result};
use crate::feasibility;
use crate::options::{Draw, Partitioning, StreamKind};
use crate::plan::{CheckpointPlan, metadata};

/// A request for a checkpoint with the initial weights of a model.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe, which gives an initializer for each tensor.
    pub recipe: &'a Recipe,
    /// The built-in model that the recipe belongs to. `None` if the recipe does not belong to a built-in model.
    pub model: Option<&'a Model>,
    /// The source of the tensors' names, shapes and types: the path of a checkpoint or manifest, or the name of a
    /// built-in model. If `like` is `None`, the source is the built-in model in the field `model`. If `model` is also
    /// `None`, the source is the built-in model that the recipe extends.
    pub like: Option<&'a Path>,
    /// The path of the checkpoint from which tensors are copied. If `copy_from` is `None`, and `like` is the path of a
    /// checkpoint, tensors are copied from that checkpoint.
    pub copy_from: Option<&'a Path>,
    /// Values of recipe variables, as pairs of name and value. They replace the values in the recipe.
    pub settings: &'a [(String, f64)],
    /// The type of each drawn floating-point tensor for which the recipe does not set a type. `None` keeps the type in
    /// the manifest.
    pub dtype: Option<DType>,
    /// The options for drawing values.
    pub draw: Draw,
    /// The options for splitting the checkpoint into files, and for splitting the work between processes.
    pub partitioning: Partitioning,
}

impl Request<'_> {
    /// Plans every tensor of the checkpoint.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read, or if the recipe is invalid or does not match the manifest.
    /// Also returns an error if no tensor would be written, if a tensor cannot be copied, if `copy_from` is set but no
    /// tensor is copied, or if the tensors have more bytes than a file can have. On the native stream, also returns an
    /// error if the stream does not implement the algorithm of a plan.
    pub fn plan(&self) -> Result<CheckpointPlan> {
        let manifest = self.manifest()?;
        if manifest.entries.is_empty() {
            return Err(Error::Request("there are no tensors to initialize".to_owned()));
        }
        let mut all = self.recipe.plan_with_dtype(&manifest, self.settings, self.dtype)?;
        let like = self.like.filter(|_| manifest.entries.iter().any(|entry| entry.offsets.is_some()));
        let copies = self.copy_from.or(like);
        self.check_actions(&all, copies.is_some())?;
        if let Some(path) = copies {
            self.check_copies(&mut all, path)?;
        }
        let planned: Vec<Planned> =
            all.iter().filter(|planned| planned.action != Action::Skip).cloned().collect();
        feasibility::check(&planned, self.draw.stream)?;
        Ok(CheckpointPlan {
            all,
            planned,
            copies: copies.map(Path::to_owned),
            replay: None,
            metadata: self.metadata(&manifest),
            draw: self.draw,
            partitioning: self.partitioning,
        })
    }

    /// Returns an error if there is no source for copied tensors, or if no tensor would be written.
    fn check_actions(&self, all: &[Planned], has_values: bool) -> Result {
        let mut copied = all.iter().filter(|planned| matches!(planned.action, Action::Copy(_)));
        if let (Some(path), None) = (self.copy_from, copied.clone().next()) {
            return Err(Error::file(
                path,
                "the recipe copies no tensor from this file: write \"copy\" in a rule",
            ));
        }
        let copied = copied.next();
        if let Some(copied) = copied.filter(|_| !has_values) {
            let message = format!(
                "{}: the rule {:?} copies this tensor, but there are no values to copy",
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

    /// Checks that the checkpoint at `path` has every tensor that the recipe copies, with a suitable shape and type.
    /// Sets the types of copied tensors to their types in the checkpoint.
    fn check_copies(&self, all: &mut [Planned], path: &Path) -> Result {
        let source = Checkpoint::open(path)?.manifest;
        let entries: HashMap<&str, &Entry> =
            source.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        for planned in all {
            let Action::Copy(copy) = planned.action.clone() else { continue };
            let error = |message: String, remedy: &str| {
                let message = format!("{:?} for {}: {message}", planned.pattern, planned.entry.name);
                Error::from(self.recipe.error_at(planned, message, remedy))
            };
            let name = copy.from.as_deref().unwrap_or(&planned.entry.name);
            let Some(found) = entries.get(name) else {
                let hint = fanin::nearest(name, entries.keys().copied())
                    .map_or_else(|| "correct the name".to_owned(), |near| format!("did you mean {near}?"));
                return Err(error(format!("{} has no tensor {name:?} to copy", path.display()), &hint));
            };
            let shapes = format!(
                "{name} is {:?} in {}, and {:?} here",
                found.shape,
                path.display(),
                planned.entry.shape
            );
            let grown = fit(&found.shape, &planned.entry.shape);
            match (grown, &copy.rest) {
                (None, _) => {
                    return Err(error(shapes, "a copy needs a shape that is not smaller along any axis"));
                }
                (Some(Fit::Repeated), _) => {}
                (Some(Fit::Grown), None) => {
                    return Err(error(
                        shapes,
                        "give a spec for the new values, such as copy(rest=normal(std=0.02))",
                    ));
                }
                (Some(Fit::Grown), Some(rest)) => {
                    let only_rows = found.shape[1..] == planned.entry.shape[1..] && found.shape[0] > 0;
                    let message = match (rest, found.dtype.float()) {
                        (_, None) => Some(format!("{} values cannot be generated for the rest", found.dtype)),
                        (Rest::MeanResizing, _) if !only_rows => {
                            Some(format!("mean_resizing adds rows only: {shapes}"))
                        }
                        (Rest::Init(init), Some(dtype)) => {
                            init.resolve(&planned.entry.shape, dtype).err().map(|error| error.to_string())
                        }
                        _ => None,
                    };
                    let torch = self.draw.stream == StreamKind::Torch;
                    let torch = torch.then(|| {
                        "the torch stream cannot draw a part of a tensor: use the native stream".to_owned()
                    });
                    if let Some(message) = message.or(torch) {
                        return Err(error(message, "correct the rule"));
                    }
                }
            }
            planned.entry.dtype = found.dtype;
        }
        Ok(())
    }

    /// Returns the metadata for the headers of the checkpoint's files.
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
