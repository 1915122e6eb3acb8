//! Laws that are a formula of the index in a matrix: nothing is drawn.

use super::{Law, Plan};

impl Plan {
    /// The value at a row-major index, of a law that is a formula; `None` for the others.
    pub(crate) fn formula(&self) -> Option<impl Fn(u64) -> f64 + use<>> {
        let (law, (_, columns)) = (self.law, self.matrix());
        let columns = columns.max(1) as u64;
        matches!(law, Law::Hadamard { .. } | Law::RepeatedEye { .. }).then_some(move |index: u64| {
            let (row, column) = (index / columns, index % columns);
            match law {
                Law::Hadamard { scale } if (row & column).count_ones() % 2 == 1 => -scale,
                Law::Hadamard { scale } => scale,
                Law::RepeatedEye { value } if row % columns == column => value,
                _ => 0.0,
            }
        })
    }

    /// The mean of a formula's values over the matrix.
    pub(super) fn mean_of_formula(&self) -> f64 {
        let (rows, columns) = self.matrix();
        match self.law {
            Law::Hadamard { scale } => {
                let side = rows.max(columns).next_power_of_two();
                scale * signs(rows, columns, side) as f64 / self.len() as f64
            }
            Law::RepeatedEye { value } => value / columns as f64,
            _ => 0.0,
        }
    }
}

/// The sum of the signs in the upper left `rows` by `columns` of the Hadamard matrix of this side, a power of two: all of
/// one side is the sum of its first line, the rest cancels.
fn signs(rows: usize, columns: usize, side: usize) -> i64 {
    if rows == 0 || columns == 0 {
        return 0;
    }
    if rows == side || columns == side {
        return side as i64;
    }
    let half = side / 2;
    let (top, left) = (rows.min(half), columns.min(half));
    let (bottom, right) = (rows - top, columns - left);
    signs(top, left, half) + signs(top, right, half) + signs(bottom, left, half) - signs(bottom, right, half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::DType;

    #[test]
    fn sums_of_signs_are_those_of_the_signs() {
        for (rows, columns) in [(1, 1), (2, 2), (3, 2), (7, 5), (8, 3), (13, 13), (33, 20), (5, 64)] {
            let plan = Plan::new(&[rows, columns], DType::F32, Law::Hadamard { scale: 1.0 }).unwrap();
            let value = plan.formula().unwrap();
            let sum: f64 = (0..(rows * columns) as u64).map(value).sum();
            assert_eq!(plan.mean(), sum / (rows * columns) as f64, "{rows} {columns}");
        }
    }
}
