//! [`RecipeInit`]: a recipe and values for its variables.

use crate::error::Result;
use crate::manifest::Manifest;
use crate::model_values::ModelValues;
use crate::models::Model;
use crate::recipe::{Planned, Recipe};
use crate::seed_source::SeedSource;

/// A recipe and values for its variables. Adapters such as `fanin-burn` wrap this type to initialize the models of a
/// framework.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    recipe: Recipe,
    settings: Vec<(String, f64)>,
}

impl RecipeInit {
    /// Returns a `RecipeInit` for `recipe`. The variables have the values that the recipe defines.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, settings: Vec::new() }
    }

    /// Returns a `RecipeInit` for the recipe of the built-in model `name`. The command `fanin models` lists the names
    /// of the models.
    ///
    /// # Errors
    /// Returns [`Error::UnknownModel`](crate::Error::UnknownModel) if there is no such model.
    pub fn built_in(name: &str) -> Result<Self> {
        Ok(Self::new(Recipe::built_in(Model::require(name)?)?))
    }

    /// Sets a variable of the recipe to `value`. [`RecipeInit::plan`] returns an error if the recipe does not have the
    /// variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: f64) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }

    /// Plans every tensor of a manifest, and returns the plans in the order of the manifest.
    ///
    /// # Errors
    /// Returns the same errors as [`Recipe::plan`].
    pub fn plan(&self, manifest: &Manifest) -> Result<Vec<Planned>> {
        self.recipe.plan(manifest, &self.settings)
    }

    /// Plans every tensor of a manifest, and returns a [`ModelValues`] that draws the values. No value is drawn yet.
    ///
    /// # Errors
    /// Returns the same errors as [`Recipe::plan`] and [`ModelValues::new`].
    pub fn values<T: Clone>(&self, manifest: &Manifest, seed_source: &SeedSource) -> Result<ModelValues<T>> {
        ModelValues::new(self.plan(manifest)?, seed_source)
    }
}
