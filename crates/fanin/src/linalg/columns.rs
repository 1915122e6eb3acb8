//! Scalar products of the columns of a matrix.

use std::ops::Range;

use super::product::{Terms, View, add_product};
use crate::simd::Level;

/// Returns the scalar product of each column in `left` with each column in `right`. `values` is a row-major matrix with
/// `columns` columns.
///
/// The result is a row-major matrix with `left.len()` rows and `right.len()` columns. Element (i, j) is the scalar
/// product of the columns `left.start + i` and `right.start + j`.
///
/// The terms of a scalar product are added in the order of the rows, each by one fused multiply-add. A scalar product
/// therefore does not depend on the SIMD level or on the ranges. The function runs on the calling thread only.
///
/// ```
/// use fanin::linalg::column_products;
/// // The columns (1, 4), (2, 5) and (3, 6).
/// let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// assert_eq!(column_products(&values, 3, 0..1, 1..3), [22.0, 27.0]);
/// ```
///
/// # Panics
/// Panics if a range ends after the last column, or if the number of values is not a multiple of `columns`.
pub fn column_products(values: &[f32], columns: usize, left: Range<usize>, right: Range<usize>) -> Vec<f32> {
    assert!(
        left.end <= columns && right.end <= columns && values.len().is_multiple_of(columns.max(1)),
        "a matrix of {} values does not have rows of {columns} values with the columns {left:?} and {right:?}",
        values.len()
    );
    let matrix = View::new(values, columns);
    let [rows, _] = matrix.size();
    let mut products = vec![0.0; left.len() * right.len()];
    let width = right.len();
    let (left, right) = (matrix.part(0..rows, left).transposed(), matrix.part(0..rows, right));
    add_product(Level::best(), 1.0, left, right, Terms::All, &mut products, width);
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_columns_agree_with_sums_of_their_terms() {
        for (rows, columns, left, right) in
            [(1, 1, 0..1, 0..1), (300, 37, 3..20, 0..37), (1024, 70, 64..70, 1..66), (0, 3, 0..1, 1..3)]
        {
            let values: Vec<f32> =
                (0..rows * columns).map(|k| (k * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
            let found = column_products(&values, columns, left.clone(), right.clone());
            let column = |n: usize| values.iter().skip(n).step_by(columns);
            let pairs = left.flat_map(|i| right.clone().map(move |j| (i, j)));
            let expected: Vec<f32> = pairs
                .map(|(i, j)| column(i).zip(column(j)).fold(0.0, |sum: f32, (x, y)| x.mul_add(*y, sum)))
                .collect();
            assert_eq!(found, expected, "{rows} {columns}");
        }
    }
}
