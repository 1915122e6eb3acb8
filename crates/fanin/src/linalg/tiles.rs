//! Transposition.

/// Calls `visit` with row and column of each entry of a matrix, tile by tile.
///
/// The tiles are so small that the rows of one matrix and the columns of another stay in the nearest cache together:
/// use this to copy between a row-major matrix and a column-major one, that is to transpose.
#[inline(always)]
pub(crate) fn for_each_in_tiles(rows: usize, columns: usize, mut visit: impl FnMut(usize, usize)) {
    const SIDE: usize = 32;
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for column in left..columns.min(left + SIDE) {
                for row in top..rows.min(top + SIDE) {
                    visit(row, column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_visited_once() {
        for (rows, columns) in [(1, 5), (33, 70), (64, 32), (0, 3), (3, 0)] {
            let mut visits = vec![0; rows * columns];
            for_each_in_tiles(rows, columns, |row, column| visits[row * columns + column] += 1);
            assert!(visits.iter().all(|&count| count == 1), "{rows} {columns}");
        }
    }
}
