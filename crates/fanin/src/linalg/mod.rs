//! Dense linear algebra: singular values, and the algorithms of the `orthogonal` initializer (matrix products with a
//! fixed order of summation, Householder reflections and QR factorization).

mod panel;
mod product;
pub(crate) mod qr;
pub(crate) mod real;
pub(crate) mod reflections;
mod singular;
pub(crate) mod transpose;

pub use singular::singular_values;
