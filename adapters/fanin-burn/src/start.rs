//! A recipe held against a module: all of it planned before a value is drawn.

use burn_core::module::Module;
use fanin_recipe::models::Model;
use fanin_recipe::recipe::{Planned, Recipe, Action};
use fanin_recipe::{Error, Result};

use crate::module::{Values, manifest, write};
use crate::{Axes, SeedSource};

/// A recipe with its variables set, ready to start modules.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    recipe: Recipe,
    settings: Vec<(String, f64)>,
    axes: Axes,
}

impl RecipeInit {
    /// By this recipe, in torch's axes.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, settings: Vec::new(), axes: Axes::default() }
    }

    /// By the recipe of a built-in model, as `fanin models` lists them.
    ///
    /// # Errors
    /// If there is no such model; the message names one that is near.
    pub fn built_in(name: &str) -> Result<Self> {
        let model = Model::require(name)?;
        let recipe = Recipe::parse(model.recipe_toml, model.recipe_name.as_ref())?;
        Ok(Self::new(recipe))
    }

    /// Sets a variable of the recipe. What is not there is an error once the recipe is held against a module.
    #[must_use]
    pub fn set(mut self, name: &str, value: f64) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }

    /// Plans and draws in these axes.
    #[must_use]
    pub fn axes(self, axes: Axes) -> Self {
        Self { axes, ..self }
    }

    /// What each parameter of a module would get.
    ///
    /// # Errors
    /// What the recipe finds wrong with the module: parameters that no rule matches, rules that match nothing, a spec that
    /// does not fit.
    pub fn plan<M: Module>(&self, module: &M) -> Result<Vec<Planned>> {
        self.recipe.apply(&manifest(module, self.axes)?, &self.settings)
    }

    /// Gives every parameter and running state of a module the values that the recipe says. Ids, devices, types and what
    /// requires gradients stay. On torch's stream parameters draw in the order of the module's fields.
    ///
    /// # Errors
    /// As [`RecipeInit::plan`], before a value is drawn.
    pub fn module<M: Module>(&self, module: M, numbers: &mut SeedSource) -> Result<M> {
        let mut plans = Vec::new();
        for planned in self.plan(&module)? {
            let source = planned.source().to_owned();
            let (name, count) = (planned.entry.name.clone(), planned.entry.values());
            match (&planned.plan, planned.integer, &planned.action) {
                (Some(plan), ..) => plans.push((name, Values::Drawn(source, plan.clone()))),
                (None, Some(value), _) => {
                    let value = i64::try_from(value)
                        .map_err(|_| Error::Request(format!("{name}: {value} is more than an i64 holds")))?;
                    plans.push((name, Values::Integers(vec![value; count])));
                }
                (None, None, Action::Arange) => {
                    let steps = (0..count).map(|index| planned.step(index) as i64).collect();
                    plans.push((name, Values::Integers(steps)));
                }
                // Copied or skipped: it keeps what it has.
                (None, None, _) => {}
            }
        }
        write(module, self.axes, numbers, plans)
    }
}
