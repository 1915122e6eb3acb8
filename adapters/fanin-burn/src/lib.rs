//! fanin for [burn](burn_core): initializes the parameters of any burn module with an initializer or with a recipe.
//!
//! Burn draws all parameters from one global generator. This crate draws every value from a [`SeedSource`], which is
//! one of two streams. The *native stream* is counter-based (Philox): the values of a parameter depend only on the seed
//! and on the parameter's path. The *torch stream* is PyTorch's CPU generator (MT19937), and its values are
//! bit-identical to PyTorch's.
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
//! Burn stores the weight of a `Linear` as `[in, out]`, and torch stores this weight as `[out, in]`. All other
//! parameters have the same axes in burn and in torch. By default, this crate draws the weight of a `Linear` as
//! `[out, in]` and stores the transpose. So fan_in and fan_out are the same as in torch, and the torch stream gives the
//! values of PyTorch. See [`Axes`].
//!
//! The name of a parameter is its path in burn, for example `layers.0.weight` or `norm.gamma`.

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
