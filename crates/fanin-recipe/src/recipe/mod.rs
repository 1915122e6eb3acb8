//! Recipes. A recipe says which parameter gets which initializer. `docs/recipes.md` describes the file format for
//! users.
//!
//! [`Recipe::parse`] parses a recipe and reads the recipes that it extends. [`Recipe::plan`] applies a recipe to the
//! tensors of a manifest and returns a [`Planned`] for each tensor.

mod definition;
pub mod draft;
mod flatten;
mod glob;
mod load;
mod matching;
mod parse;
mod plan;
mod plan_tensor;
mod planned;
mod rule;
pub mod schema;
mod scope;
mod source;
mod tie;
mod toml_string;
mod unused;
mod variable;

pub use definition::Recipe;
pub use planned::{Action, Planned};
