//! The built-in models. Each model has a manifest and a recipe.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// A built-in model: a manifest and a recipe.
#[derive(Debug)]
pub struct Model {
    /// The name of the model, for example `gpt2`.
    pub name: &'static str,
    /// The manifest: the JSON of a safetensors header without `data_offsets`.
    pub manifest_json: &'static str,
    /// The recipe in TOML. All sizes of GPT-2 share one recipe, because the recipe counts the layers in the manifest.
    pub recipe_toml: &'static str,
    /// The file name of the recipe. Error messages show this name.
    pub recipe_name: &'static str,
}

/// Expands to a slice of models. For example, `"gpt2-xl": "gpt2"` is the model `gpt2-xl` with the recipe file
/// `gpt2.toml`.
macro_rules! models {
    ($($name:literal: $recipe:literal),* $(,)?) => {
        &[$(Model {
            name: $name,
            manifest_json: include_str!(concat!("../models/", $name, ".json")),
            recipe_toml: include_str!(concat!("../models/", $recipe, ".toml")),
            recipe_name: concat!($recipe, ".toml"),
        }),*]
    };
}

/// All built-in models.
pub const MODELS: &[Model] = models! {
    "gpt2": "gpt2",
    "gpt2-medium": "gpt2",
    "gpt2-large": "gpt2",
    "gpt2-xl": "gpt2",
    "llama-3.2-1b": "llama-3.2",
    "llama-3.1-8b": "llama",
    "bert-base": "bert",
    "vit-b16": "vit",
    "resnet50": "resnet50",
};

/// Returns the name of the built-in model that is most similar to `name`, or `None` if no name is similar.
pub(crate) fn nearest_model(name: &str) -> Option<&'static str> {
    fanin::nearest(name, MODELS.iter().map(|model| model.name))
}

impl Model {
    /// Returns the built-in model `name`, or `None` if there is no such model.
    pub fn find(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// Returns the built-in model `name`.
    ///
    /// # Errors
    /// Returns [`Error::UnknownModel`] if there is no such model. The error suggests a similar name if there is one.
    pub fn require(name: &str) -> Result<&'static Self> {
        Self::find(name)
            .ok_or_else(|| Error::UnknownModel { name: name.to_owned(), suggestion: nearest_model(name) })
    }

    /// Returns the parsed manifest.
    pub fn manifest(&self) -> Manifest {
        Manifest::from_json(self.manifest_json, Path::new(self.name)).expect("a built-in manifest is valid")
    }

    /// Returns the paper or other source that the first line of the recipe cites.
    pub fn citation(&self) -> &'static str {
        let line = self.recipe_toml.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        line.split_once(": ").map_or(line, |(_, citation)| citation)
    }
}
