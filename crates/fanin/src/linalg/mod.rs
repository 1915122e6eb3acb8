//! Dense linear algebra: singular values, scalar products of columns, and the algorithms of the `orthogonal` initializer
//! (matrix products with a fixed order of summation, Householder reflections and QR factorization).

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
