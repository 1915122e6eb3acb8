//! The built-in models: a manifest each, and the recipe that goes with it.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// A model that is built in.
#[derive(Debug)]
pub struct Model {
    /// What it is called.
    pub name: &'static str,
    /// Its manifest: the JSON of a safetensors header without offsets.
    pub manifest_json: &'static str,
    /// Its recipe in TOML. Sizes of one family share it: what differs it reads off the manifest.
    pub recipe_toml: &'static str,
    /// The recipe's file name, for messages.
    pub recipe_name: &'static str,
}

/// The built-in models.
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

/// All of them.
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

/// The nearest name of a built-in model, if one is near.
pub(crate) fn nearest_model(name: &str) -> Option<&'static str> {
    fanin::nearest(name, MODELS.iter().map(|model| model.name))
}

impl Model {
    /// The model called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// The model called `name`, or an error that knows what was meant.
    ///
    /// # Errors
    /// If there is none.
    pub fn require(name: &str) -> Result<&'static Self> {
        Self::find(name)
            .ok_or_else(|| Error::UnknownModel { name: name.to_owned(), suggestion: nearest_model(name) })
    }

    /// Its manifest.
    pub fn manifest(&self) -> Manifest {
        Manifest::from_json(self.manifest_json, Path::new(self.name)).expect("built-in manifests are tested")
    }

    /// What its recipe follows: the first line of the recipe.
    pub fn citation(&self) -> &'static str {
        let line = self.recipe_toml.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        line.split_once(": ").map_or(line, |(_, citation)| citation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_recipe_fits_its_manifest() {
        for model in MODELS {
            let manifest = model.manifest();
            let recipe = Recipe::built_in(model).unwrap();
            let planned = recipe.apply(&manifest, &[]).unwrap();
            assert_eq!(planned.len(), manifest.entries.len(), "{}", model.name);
            assert!(model.citation().len() > 20, "{}", model.name);
            assert!(manifest.metadata("loads_in").is_some());
        }
    }

    #[test]
    fn gpt2_is_what_it_should_be() {
        let model = Model::require("gpt2").unwrap();
        let manifest = model.manifest();
        assert_eq!((manifest.entries.len(), manifest.values()), (148, 124_439_808));
        let recipe = Recipe::built_in(model).unwrap();
        let planned = recipe.apply(&manifest, &[]).unwrap();
        let std = |end: &str| {
            planned.iter().find(|p| p.entry.name.ends_with(end)).unwrap().plan.as_ref().unwrap().std()
        };
        assert_eq!(std("h.3.attn.c_proj.weight"), 0.02 / 24f64.sqrt());
        assert_eq!(std("h.3.attn.c_attn.weight"), 0.02);
        let xl = Model::require("gpt2-xl").unwrap().manifest();
        let planned = recipe.apply(&xl, &[]).unwrap();
        let projection = planned.iter().find(|p| p.entry.name.ends_with("h.47.mlp.c_proj.weight")).unwrap();
        assert_eq!(projection.plan.as_ref().unwrap().std(), 0.02 / 96f64.sqrt(), "48 layers, not 12");
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let error = Model::require("gtp2").unwrap_err().to_string();
        assert!(error.ends_with("did you mean gpt2?"), "{error}");
        assert!(matches!(Model::require("unheard-of"), Err(Error::UnknownModel { suggestion: None, .. })));
    }
}
