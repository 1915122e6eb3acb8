//! fanin for [candle](candle_core): tensors, variables and whole models by initializer or recipe.
//!
//! Candle's generator on the CPU cannot be seeded. Here every value comes from a stream that is named: the native one, on
//! which a parameter's values depend on seed and name alone, or torch's, which gives the bits of PyTorch.
//!
//! ```
//! use candle_core::{DType, Device, Result, Tensor};
//! use candle_nn::{Linear, Module as _, VarBuilder, linear};
//! use fanin_candle::{SeedSource, Recipe, RecipeInit};
//!
//! struct Mlp(Linear, Linear);
//!
//! impl Mlp {
//!     // As for any candle model: what it is built from, it does not know.
//!     fn new(vb: VarBuilder) -> Result<Self> {
//!         Ok(Self(linear(16, 64, vb.pp("fc1"))?, linear(64, 1, vb.pp("fc2"))?))
//!     }
//! }
//!
//! let recipe = r#"
//! [init]
//! "*.bias" = "zeros"
//! "*"      = "kaiming_normal(nonlinearity=relu)"
//! "#;
//! let start = RecipeInit::new(Recipe::parse(recipe, "mlp.toml".as_ref()).map_err(candle_core::Error::wrap)?);
//! let (mlp, vars) = start.build(DType::F32, &Device::Cpu, &mut SeedSource::native(0), |vb| Mlp::new(vb))?;
//! let y = mlp.1.forward(&mlp.0.forward(&Tensor::zeros((1, 16), DType::F32, &Device::Cpu)?)?.relu()?)?;
//! assert_eq!((y.dims(), vars.all_vars().len()), (&[1, 1][..], 4));
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! | what is there | what to use |
//! |---|---|
//! | an initializer and a shape | [`tensor`], [`var`], [`fill`] |
//! | a model, a recipe | [`RecipeInit::build`]: a recipe for all of it, checked before a value is drawn |
//! | a `VarMap`, a recipe | [`RecipeInit::fill`], [`RecipeInit::fill_in_order`] |
//! | a model, no recipe | [`Layers`]: the layers' own distributions from a seed, or those of torch's modules |
//!
//! Values are drawn on the CPU, in the type they will have, and come to the device by one copy; on the CPU by none.

mod draw;
mod layers;
mod start;

pub use draw::{fill, tensor, var};
pub use fanin_recipe::manifest::Manifest;
pub use fanin_recipe::SeedSource;
pub use fanin_recipe::recipe::{Planned, Recipe};
pub use layers::{Asked, Layers, own_law, torch_law};
pub use start::RecipeInit;
