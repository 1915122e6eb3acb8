//! A recipe together with settings of its variables.

use crate::error::Result;
use crate::manifest::Manifest;
use crate::model_values::ModelValues;
use crate::models::Model;
use crate::recipe::{Planned, Recipe};
use crate::seed_source::SeedSource;

/// A recipe with settings of its variables. Adapters of frameworks wrap it to initialize their models.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    recipe: Recipe,
    settings: Vec<(String, f64)>,
}

impl RecipeInit {
    /// Returns an initialization by this recipe.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, settings: Vec::new() }
    }

    /// Returns an initialization by the recipe of a built-in model. `fanin models` lists the names.
    ///
    /// # Errors
    /// [`Error::UnknownModel`](crate::Error::UnknownModel) if there is no such model.
    pub fn built_in(name: &str) -> Result<Self> {
        Ok(Self::new(Recipe::built_in(Model::require(name)?)?))
    }

    /// Sets a variable of the recipe. [`RecipeInit::plan`] returns an error if the recipe does not have the variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: f64) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }

    /// Plans every tensor of a manifest.
    ///
    /// # Errors
    /// As [`Recipe::plan`].
    pub fn plan(&self, manifest: &Manifest) -> Result<Vec<Planned>> {
        self.recipe.plan(manifest, &self.settings)
    }

    /// Plans every tensor of a manifest, and checks that `seed_source` can draw them. No value is drawn.
    ///
    /// # Errors
    /// As [`Recipe::plan`] and [`ModelValues::new`].
    pub fn values<T: Clone>(&self, manifest: &Manifest, seed_source: &SeedSource) -> Result<ModelValues<T>> {
        ModelValues::new(self.plan(manifest)?, seed_source)
    }
}
