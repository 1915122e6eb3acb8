//! The transpose of a matrix.

/// Writes the transpose of `matrix` to `out`. `matrix` is row-major with `columns` columns. The rows of `out` begin
/// `step` elements apart. The elements are copied in blocks that fit in the L1 cache.
pub(crate) fn transpose<T: Copy>(matrix: &[T], columns: usize, out: &mut [T], step: usize) {
    const SIDE: usize = 32;
    let rows = matrix.len().checked_div(columns).unwrap_or(0);
    for top in (0..rows).step_by(SIDE) {
        let bottom = rows.min(top + SIDE);
        for left in (0..columns).step_by(SIDE) {
            for column in left..columns.min(left + SIDE) {
                let out = &mut out[column * step + top..column * step + bottom];
                for (row, out) in (top..bottom).zip(out) {
                    *out = matrix[row * columns + column];
                }
            }
        }
    }
}
