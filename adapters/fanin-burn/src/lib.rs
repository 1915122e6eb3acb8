//! fanin for [burn](burn_core): the parameters of any module by initializer or recipe.
//!
//! Burn draws all parameters from one global generator. This crate draws every value from a [`SeedSource`]: the *native stream*
//! (counter-based, Philox), on which the values of a parameter depend only on the seed and on its path, or the *torch stream*
//! (PyTorch's CPU generator, MT19937), which reproduces PyTorch bit for bit.
//!
//! ```no_run
//! use burn_core::module::Module;
//! use fanin_burn::{Recipe, RecipeInit, SeedSource};
//! # fn mlp<M: Module>(model: M) -> fanin_burn::Result<()> {
//! let recipe = r#"
//! [init]
//! "*.bias" = "zeros"
//! "*"      = "kaiming_normal(nonlinearity=relu)"
//! "#;
//! let init = RecipeInit::new(Recipe::parse(recipe, "mlp.toml".as_ref())?);
//! let model = init.module(model, &mut SeedSource::native(0))?;
//! # Ok(()) }
//! ```
//!
//! # Axes
//! Burn stores the weight of a `Linear` as `[in, out]`, torch as `[out, in]`. All other parameters have the same axes in both.
//! By default the weight of a `Linear` is planned and drawn in torch's axes and stored transposed, so that fans are computed
//! correctly and values are PyTorch's: see [`Axes`]. Parameters have burn's own paths as names: `layers.0.weight`,
//! `norm.gamma`.

mod axes;
mod draw;
mod init_module;
mod module_path;
mod recipe_init;
mod visit;

pub use axes::Axes;
pub use draw::{param, tensor};
pub use fanin_recipe::{Error, Planned, Recipe, Result, SeedSource};
pub use init_module::{ParameterRequest, init_module};
pub use recipe_init::RecipeInit;
pub use visit::{manifest, tensors};
