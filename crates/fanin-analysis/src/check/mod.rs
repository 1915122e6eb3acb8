//! Whether values are what they should be: distributions, bits, orthogonality, repeated stretches; names, shapes, types.

pub mod bits;
pub mod classify;
pub mod compare;
pub mod distribution;
pub mod grid;
pub mod model;
pub mod orthogonal;
pub mod repeats;
pub mod sample;
pub mod tensor;
pub mod tensor_view;
