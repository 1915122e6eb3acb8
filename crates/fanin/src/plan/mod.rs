//! Plans. A plan describes what a fill will write: all parameters are computed, and no value has been generated.

mod blocks;
mod distribution;
mod formula;
mod moments;
mod types;
mod validate;

pub(crate) use blocks::Intersection;
pub use distribution::{Distribution, Truncation};
pub use types::{Block, Plan};
pub(crate) use validate::finite;
