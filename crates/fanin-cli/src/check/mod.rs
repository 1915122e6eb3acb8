//! Whether values are what they should be: laws, bits, orthogonality, repeated stretches; names, shapes, types.

pub mod bits;
pub mod compare;
pub mod follows;
pub mod grid;
pub mod law;
pub mod model;
pub mod orthogonal;
pub mod piece;
pub mod portrait;
pub mod repeats;
pub mod sample;
