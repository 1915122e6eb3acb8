//! fanin for [candle](candle_core): initializes tensors, variables and whole models with an initializer or with a
//! recipe.
//!
//! Candle's CPU generator cannot be seeded. This crate draws every value from a [`SeedSource`], which is one of two
//! streams. The *native stream* is counter-based (Philox): the values of a parameter depend only on the seed and on the
//! parameter's name. The *torch stream* is PyTorch's CPU generator (MT19937), and its values are bit-identical to
//! PyTorch's.
//!
//! ```
//! use candle_core::{DType, Device, Result, Tensor};
//! use candle_nn::{Linear, Module as _, VarBuilder, linear};
//! use fanin_candle::{Recipe, RecipeInit, SeedSource};
//!
//! struct Mlp(Linear, Linear);
//!
//! impl Mlp {
//!     // An ordinary candle model.
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
//! let init = RecipeInit::new(Recipe::parse(recipe, "mlp.toml".as_ref()).map_err(candle_core::Error::wrap)?);
//! let (mlp, vars) = init.build(DType::F32, &Device::Cpu, &mut SeedSource::native(0), |vb| Mlp::new(vb))?;
//! let y = mlp.1.forward(&mlp.0.forward(&Tensor::zeros((1, 16), DType::F32, &Device::Cpu)?)?.relu()?)?;
//! assert_eq!((y.dims(), vars.all_vars().len()), (&[1, 1][..], 4));
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! | you have | use |
//! |---|---|
//! | an initializer and a shape | [`tensor`], [`var`], [`fill`] |
//! | a model and a recipe | [`RecipeInit::build`]: the recipe is checked against the whole model before the first value is drawn |
//! | a `VarMap` and a recipe | [`RecipeInit::fill`], [`RecipeInit::fill_in_order`] |
//! | a model without a recipe | [`Layers`]: the defaults of candle's layers or of torch's modules, from a seed |
//!
//! Values are drawn on the CPU in their final dtype, and then copied to the device. On the CPU, no copy is made.

mod draw;
mod layers;
mod recipe_init;

pub use draw::{fill, tensor, var};
pub use fanin_recipe::{Manifest, Planned, Recipe, SeedSource};
pub use layers::{Layers, ParameterRequest, candle_default, torch_default};
pub use recipe_init::RecipeInit;
