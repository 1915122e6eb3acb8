//! Dense linear algebra: singular values, and what `orthogonal` is made with (matrix products in a fixed order of
//! summation, Householder reflections, QR factorization).

mod product;
pub(crate) mod qr;
pub(crate) mod real;
pub(crate) mod reflections;
mod singular;
pub(crate) mod transpose;

pub use singular::singular_values;
