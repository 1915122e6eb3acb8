//! Plans: what a fill will write, with all numbers computed and no value drawn.

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
