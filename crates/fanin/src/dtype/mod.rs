//! Element types, and the rounding of values to element types. No other module rounds a value to an element type.

mod dtypes;
mod element;
mod float8;
mod rounding;
mod split;
mod values;

pub use dtypes::DType;
pub use element::Element;
pub use float8::{F8E4M3, F8E5M2};
pub use values::Values;
pub(crate) use values::values;
