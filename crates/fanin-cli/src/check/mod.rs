//! Whether values are what they should be: laws, bits, orthogonality, repeated stretches; names, shapes, types.

pub mod bits;
pub mod compare;
pub mod grid;
pub mod law;
pub mod model;
pub mod orthogonal;
pub mod portrait;
pub mod repeats;
pub mod sample;
