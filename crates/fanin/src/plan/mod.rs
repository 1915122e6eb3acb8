//! Plans. A plan describes the values that a fill will write. When a plan is created, all parameters are computed, and
//! no value is generated.

mod blocks;
mod distribution;
mod formula;
mod functions;
mod mapped;
mod moments;
mod types;
mod validate;

pub(crate) use blocks::Intersection;
pub use distribution::{Distribution, Truncation};
pub use functions::{Function, Functions};
pub use types::{Block, Plan};
pub(crate) use validate::finite;
