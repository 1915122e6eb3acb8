//! [`RecipeInit`], which initializes burn modules with a recipe. The whole module is planned before the first value is
//! drawn.

use burn_core::module::Module;
use fanin_recipe::{Planned, Recipe, Result};

use crate::init_module::write_values;
use crate::visit::manifest;
use crate::{Axes, SeedSource};

/// A recipe and values for its variables. The methods initialize burn modules.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    init: fanin_recipe::RecipeInit,
    axes: Axes,
}

impl RecipeInit {
    /// Returns a `RecipeInit` for `recipe`. The order of axes is [`Axes::Torch`]. Use [`RecipeInit::axes`] to select
    /// another order.
    pub fn new(recipe: Recipe) -> Self {
        Self { init: fanin_recipe::RecipeInit::new(recipe), axes: Axes::default() }
    }

    /// Returns a `RecipeInit` for the recipe of the built-in model `name`. The order of axes is [`Axes::Torch`]. The
    /// command `fanin models` lists the names of the models.
    ///
    /// # Errors
    /// Returns an error if no built-in model is named `name`. The error suggests a similar name if there is one.
    pub fn built_in(name: &str) -> Result<Self> {
        Ok(Self { init: fanin_recipe::RecipeInit::built_in(name)?, axes: Axes::default() })
    }

    /// Sets a variable of the recipe to `value`. If the recipe does not have the variable, [`RecipeInit::plan`] and
    /// [`RecipeInit::module`] return an error.
    #[must_use]
    pub fn set(self, name: &str, value: f64) -> Self {
        Self { init: self.init.set(name, value), ..self }
    }

    /// Sets the order of axes in which parameters are planned and drawn.
    #[must_use]
    pub fn axes(self, axes: Axes) -> Self {
        Self { axes, ..self }
    }

    /// Returns the plan of each parameter of a module. A plan contains the rule, the initializer and the distribution
    /// of the parameter. No value is drawn, and the module does not change.
    ///
    /// # Errors
    /// Returns an error if the module has a tensor of an unsupported dtype (see [`manifest`]), or if the recipe does
    /// not fit the module. For example, no rule matches a parameter, a rule is unused, or a spec does not fit the shape
    /// of a parameter.
    pub fn plan<M: Module>(&self, module: &M) -> Result<Vec<Planned>> {
        self.init.plan(&manifest(module, self.axes)?)
    }

    /// Initializes the parameters and running states of a module with the recipe. Ids, devices, dtypes and
    /// `require_grad` do not change. On the torch stream, parameters are drawn in the order of the module's fields.
    ///
    /// # Errors
    /// Returns the same errors as [`RecipeInit::plan`], and an error if the stream cannot draw a parameter. All
    /// parameters are checked before the first value is drawn.
    pub fn module<M: Module>(&self, module: M, seed_source: &mut SeedSource) -> Result<M> {
        let values = self.init.values(&manifest(&module, self.axes)?, seed_source)?;
        write_values(module, self.axes, seed_source, values)
    }
}
