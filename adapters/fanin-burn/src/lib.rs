//! fanin for [burn](burn_core): the parameters of any module by initializer or recipe.
//!
//! Burn's generator is one for all parameters. Here every value comes from a stream that is named: the native one, on which
//! a parameter's values depend on seed and path name alone, or torch's, which gives the bits of PyTorch.
//!
//! ```no_run
//! use burn_core::module::Module;
//! use fanin_burn::{SeedSource, Recipe, RecipeInit};
//! # fn mlp<M: Module>(model: M) -> fanin_burn::Result<()> {
//! let recipe = r#"
//! [init]
//! "*.bias" = "zeros"
//! "*"      = "kaiming_normal(nonlinearity=relu)"
//! "#;
//! let start = RecipeInit::new(Recipe::parse(recipe, "mlp.toml".as_ref())?);
//! let model = start.module(model, &mut SeedSource::native(0))?;
//! # Ok(()) }
//! ```
//!
//! # Axes
//! Burn stores the weight of a `Linear` as `[in, out]`, torch as `[out, in]`, and all else as torch does. So that fans are
//! the fans and torch's numbers are torch's, a `Linear`'s weight is planned and drawn in torch's axes and laid down in
//! burn's: see [`Axes`]. Names are burn's own paths: `layers.0.weight`, `norm.gamma`.

mod axes;
mod draw;
mod module;
mod start;

pub use axes::Axes;
pub use draw::{param, tensor};
pub use fanin_recipe::SeedSource;
pub use fanin_recipe::recipe::{Planned, Recipe};
pub use fanin_recipe::{Error, Result};
pub use module::{Asked, init_module, manifest, tensors};
pub use start::RecipeInit;
