//! Initializing burn modules by recipe. The whole module is planned before a value is drawn.

use burn_core::module::Module;
use fanin_recipe::{Planned, Recipe, Result};

use crate::init_module::write_values;
use crate::visit::manifest;
use crate::{Axes, SeedSource};

/// A recipe with settings of its variables, which initializes burn modules.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    init: fanin_recipe::RecipeInit,
    axes: Axes,
}

impl RecipeInit {
    /// Returns an initialization by this recipe, in torch's axes.
    pub fn new(recipe: Recipe) -> Self {
        Self { init: fanin_recipe::RecipeInit::new(recipe), axes: Axes::default() }
    }

    /// Returns an initialization by the recipe of a built-in model, in torch's axes. `fanin models` lists the names.
    ///
    /// # Errors
    /// If there is no such model. The message suggests a similar name.
    pub fn built_in(name: &str) -> Result<Self> {
        Ok(Self { init: fanin_recipe::RecipeInit::built_in(name)?, axes: Axes::default() })
    }

    /// Sets a variable of the recipe. Initializing a module returns an error if the recipe does not have the variable.
    #[must_use]
    pub fn set(self, name: &str, value: f64) -> Self {
        Self { init: self.init.set(name, value), ..self }
    }

    /// Plans and draws parameters in these axes.
    #[must_use]
    pub fn axes(self, axes: Axes) -> Self {
        Self { axes, ..self }
    }

    /// Returns what each parameter of a module would get. No value is drawn.
    ///
    /// # Errors
    /// If the recipe does not fit the module: a parameter that no rule matches, an unused rule, a spec that does not fit.
    pub fn plan<M: Module>(&self, module: &M) -> Result<Vec<Planned>> {
        self.init.plan(&manifest(module, self.axes)?)
    }

    /// Gives the parameters and running states of a module the values of the recipe. Ids, devices, dtypes and
    /// `require_grad` do not change. On the torch stream parameters are drawn in the order of the module's fields.
    ///
    /// # Errors
    /// As [`RecipeInit::plan`], and if the stream cannot draw a parameter. No value is drawn then.
    pub fn module<M: Module>(&self, module: M, seed_source: &mut SeedSource) -> Result<M> {
        let values = self.init.values(&manifest(&module, self.axes)?, seed_source)?;
        write_values(module, self.axes, seed_source, values)
    }
}
