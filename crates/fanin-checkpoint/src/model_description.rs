//! [`ModelDescription`], the information about a model from which `fanin recipe` drafts a recipe.

use std::path::Path;

use fanin_recipe::Manifest;
use fanin_recipe::recipe::draft::{self, DraftedModel, ModelConfig};

use crate::checkpoint::read_manifest;
use crate::error::Result;
use crate::file_names::INDEX;
use crate::index::Index;
use crate::paths::parent_folder;

/// The tensors of a model, and its configuration.
#[derive(Debug)]
pub struct ModelDescription {
    /// The tensors of the whole model, even if the file that was read is only one shard.
    pub manifest: Manifest,
    /// The configuration of the model, read from a config.json in the folder of the checkpoint, or from the metadata of
    /// a manifest. `None` if no configuration was found.
    pub config: Option<ModelConfig>,
    /// Messages about files that could not be used, each with the reason.
    pub notes: Vec<String>,
}

impl ModelDescription {
    /// Reads the description of a model. `path` is the name of a built-in model, or the path of a checkpoint or a
    /// manifest.
    ///
    /// `path` can be one shard of a checkpoint. If the index in the same folder lists this shard, the headers of all
    /// shards are read. Values are never read.
    ///
    /// # Errors
    /// Returns the errors of [`read_manifest`]. A config.json that cannot be used is not an error: a message is added
    /// to `notes`. This also applies to the index in the folder of a shard.
    pub fn read(path: &Path) -> Result<Self> {
        let mut notes = Vec::new();
        let manifest = match whole_model(path) {
            Some(Ok(manifest)) => manifest,
            Some(Err(message)) => {
                notes.push(format!("{INDEX} is not used, so this is a draft for one shard: {message}"));
                read_manifest(path)?
            }
            None => read_manifest(path)?,
        };
        let folder = if path.is_dir() { Some(path) } else { path.exists().then(|| parent_folder(path)) };
        let config = ModelConfig::find(&manifest, folder).unwrap_or_else(|message| {
            notes.push(format!("config.json is not used: {message}"));
            None
        });
        Ok(Self { manifest, config, notes })
    }

    /// Returns a draft of a recipe for the model. The first line of the draft contains `file`, the name of the model's
    /// file.
    ///
    /// # Errors
    /// Returns an error if the model has no tensors.
    pub fn draft(&self, file: &str) -> Result<String> {
        let Self { manifest, config, notes } = self;
        Ok(draft::draft(&DraftedModel { manifest, config: config.as_ref(), file, notes })?)
    }
}

/// Reads the manifest of the whole model if the file at `path` is one of its shards. Returns `None` if no index in the
/// same folder lists the file. Returns `Some(Err(message))` if the index or the header of a shard cannot be read.
fn whole_model(path: &Path) -> Option<std::result::Result<Manifest, String>> {
    let is_checkpoint = path.extension().is_some_and(|extension| extension == "safetensors");
    let index = parent_folder(path).join(INDEX);
    if !is_checkpoint || !path.is_file() || !index.is_file() {
        return None;
    }
    let name = path.file_name()?.to_str()?;
    match Index::read(&index) {
        Ok(read) if read.file_names().iter().any(|file| *file == name) => {
            Some(read_manifest(&index).map_err(|error| error.to_string()))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}
