//! Recipes. A recipe maps patterns of parameter names to initializers. `docs/recipes.md` describes the file format for
//! users.
//!
//! [`Recipe::parse`] parses a recipe and reads the recipes that the recipe extends. [`Recipe::plan`] applies a recipe
//! to the tensors of a manifest and returns a [`Planned`] for each tensor.

mod copy;
mod copy_source;
mod definition;
pub mod draft;
mod flatten;
mod glob;
mod load;
mod matching;
mod name_number;
mod parse;
mod plan;
mod plan_tensor;
mod planned;
pub mod replay;
mod rule;
pub mod schema;
mod scope;
mod source;
mod tie;
mod toml_string;
mod unused;
mod variable;

pub use copy::{Copy, Rest};
pub use definition::Recipe;
pub use planned::{Action, Planned};
pub use replay::Replay;
