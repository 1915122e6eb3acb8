//! Dense linear algebra: singular values, and the building blocks of the `orthogonal` initializer. These are matrix
//! products with a fixed order of summation, Householder reflections and QR factorization.

mod product;
pub(crate) mod qr;
pub(crate) mod real;
pub(crate) mod reflections;
mod singular;
pub(crate) mod transpose;

pub use singular::singular_values;
