//! Explains a spec for a shape. An explanation has the fans, and the formula of the scheme with its values filled in.
//! It also has the factors by which the weights change the mean square of a signal.

mod explanation;
pub mod json;
mod layer;
pub mod moments;
pub mod nonlinearity;
mod notes;
mod recommend;
mod stack;
pub mod steps;

pub use explanation::{Explanation, Options};
pub use layer::LayerShape;
pub use recommend::{Recommendation, recommend};
pub use stack::{LayerStack, MeanSquares, verdict};
