//! Recipes for initializing whole models.
//!
//! A [`Manifest`] lists the names, shapes and dtypes of a model's tensors. A [`Recipe`] maps patterns of tensor names
//! to initializers. [`Recipe::plan`] applies a recipe to a manifest and returns a [`Planned`] for each tensor. A
//! `Planned` contains an initializer and a plan. The plan contains the parameters of the distribution, for example the
//! standard deviation. Planning draws no values.
//!
//! ```
//! use fanin_recipe::{Manifest, Recipe};
//! let recipe = Recipe::parse("[init]\n\"*.bias\" = \"zeros\"\n\"*\" = \"normal(std=1/sqrt(fan_in))\"\n", "my.toml".as_ref())?;
//! let json = r#"{"fc.weight": {"dtype": "F32", "shape": [8, 16]}, "fc.bias": {"dtype": "F32", "shape": [8]}}"#;
//! let planned = recipe.plan(&Manifest::from_json(json, "m.json".as_ref())?, &[])?;
//! assert_eq!(planned[0].action.to_string(), "normal(std=0.25)");
//! # Ok::<(), fanin_recipe::Error>(())
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`manifest`], [`stored_type`] | names, shapes and dtypes of tensors |
//! | [`header`] | reading the header of a safetensors file |
//! | [`models`] | the built-in models, each with a manifest and a recipe |
//! | [`recipe`] | parsing recipes; planning the tensors of a model; proposing a recipe for a model; the JSON schema of recipes |
//! | [`diagnostic`], [`error`] | errors with file, line, column and remedy |
//! | [`seed_source`], [`model_values`], [`recipe_init`] | drawing the values of a whole model, for adapters to frameworks |
//! | [`names`], [`text`] | formatting names and numbers for terminal output |

#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod error;
pub mod file_kind;
pub mod header;
pub mod manifest;
pub mod model_values;
pub mod models;
pub mod names;
pub mod recipe;
pub mod recipe_init;
pub mod seed_source;
pub mod stored_type;
pub mod text;

pub use diagnostic::Diagnostic;
pub use error::{Error, Result};
pub use manifest::{Entry, Manifest};
pub use model_values::{ModelValues, ParameterValues};
pub use models::{MODELS, Model};
pub use recipe::{Action, Copy, Planned, Recipe, Replay, Rest};
pub use recipe_init::RecipeInit;
pub use seed_source::SeedSource;
pub use stored_type::StoredType;
