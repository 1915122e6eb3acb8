//! Dense linear algebra: singular values and scalar products of columns.
//!
//! Private modules have the algorithms of the initializer `orthogonal`: QR factorization, Householder reflections, and
//! matrix products with a fixed order of summation.

mod columns;
mod panel;
mod product;
pub(crate) mod qr;
pub(crate) mod real;
pub(crate) mod reflections;
mod singular;
pub(crate) mod transpose;

pub use columns::column_products;
pub use singular::singular_values;
