//! Recipes for initializing whole models.
//!
//! A [`Manifest`] lists the names, types and shapes of a model's tensors. A [`Recipe`] says which parameter gets which
//! initializer. [`Recipe::apply`] matches the two and returns a [`Planned`] for each tensor: its initializer, and its
//! plan with all numbers known. Nothing is drawn.
//!
//! ```
//! use fanin_recipe::{Manifest, Recipe};
//! let recipe = Recipe::parse("[init]\n\"*.bias\" = \"zeros\"\n\"*\" = \"normal(std=1/sqrt(fan_in))\"\n", "my.toml".as_ref())?;
//! let json = r#"{"fc.weight": {"dtype": "F32", "shape": [8, 16]}, "fc.bias": {"dtype": "F32", "shape": [8]}}"#;
//! let planned = recipe.apply(&Manifest::from_json(json, "m.json".as_ref())?, &[])?;
//! assert_eq!(planned[0].action.to_string(), "normal(std=0.25)");
//! # Ok::<(), fanin_recipe::Error>(())
//! ```
//!
//! | module | what it has |
//! |---|---|
//! | [`manifest`] | names, types and shapes; reading them from JSON or from the header of a safetensors file |
//! | [`header`] | the header of a safetensors file
//! | [`models`] | the built-in models: a manifest and a recipe each |
//! | [`recipe`] | parsing, matching, planning; drafts and the JSON schema |
//! | [`seed_source`] | the stream of a whole model, for adapters of frameworks |
//! | [`names`], [`text`] | names and numbers as people read them |

#![forbid(unsafe_code)]

pub mod error;
pub mod header;
pub mod manifest;
pub mod models;
pub mod names;
pub mod recipe;
pub mod seed_source;
pub mod stored_type;
pub mod text;

pub use error::{Error, Result};
pub use manifest::{Entry, Manifest};
pub use models::{MODELS, Model};
pub use recipe::{Action, Diagnostic, Planned, Recipe};
pub use seed_source::SeedSource;
pub use stored_type::StoredType;
