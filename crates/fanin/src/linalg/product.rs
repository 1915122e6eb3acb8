//! Matrix products whose every sum runs in one order.
//!
//! `c[i][j] = fma(a[i][k], b[k][j], c[i][j])` for k in sequence: so the bits do not depend on how the work is blocked,
//! on the width of the vectors (which run across j) or on which part of c is asked for. A library's product promises
//! none of these.

use super::Real;
use crate::simd::{Kernel, Level, dispatch};

/// A matrix inside a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a, T> {
    data: &'a [T],
    start: usize,
    row_step: isize,
    column_step: isize,
    rows: usize,
    columns: usize,
}

impl<'a, T: Real> View<'a, T> {
    /// The row-major matrix with rows of length `columns`.
    pub(super) fn new(data: &'a [T], columns: usize) -> Self {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        Self { data, start: 0, row_step: columns as isize, column_step: 1, rows, columns }
    }

    /// Rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            row_step: self.column_step,
            column_step: self.row_step,
            rows: self.columns,
            columns: self.rows,
            ..self
        }
    }

    /// The part with these rows and columns.
    pub(super) fn part(self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Self {
        debug_assert!(rows.end <= self.rows && columns.end <= self.columns);
        if rows.is_empty() || columns.is_empty() {
            return Self { rows: rows.len(), columns: columns.len(), ..self };
        }
        Self {
            start: self.place(rows.start, columns.start),
            rows: rows.len(),
            columns: columns.len(),
            ..self
        }
    }

    /// The columns in opposite order.
    pub(super) fn columns_reversed(self) -> Self {
        if self.columns == 0 || self.rows == 0 {
            return self;
        }
        Self { start: self.place(0, self.columns - 1), column_step: -self.column_step, ..self }
    }

    /// The rows in opposite order.
    pub(super) fn rows_reversed(self) -> Self {
        self.transposed().columns_reversed().transposed()
    }

    #[inline(always)]
    fn place(&self, row: usize, column: usize) -> usize {
        (self.start as isize + row as isize * self.row_step + column as isize * self.column_step) as usize
    }
}

/// Columns of c that are worked on together, and terms of their sums: so much of b stays in the nearer caches.
const WIDE: usize = 512;
const DEEP: usize = 8;

/// Adds `sign * a b` to the rows of `c`, which lie `step` apart and are as long as b is wide. The columns of b must lie
/// one after another.
pub(super) fn add_product<T: Real>(
    level: Level,
    sign: T,
    a: View<'_, T>,
    b: View<'_, T>,
    c: &mut [T],
    step: usize,
) {
    debug_assert!(a.columns == b.rows && (b.columns < 2 || b.column_step == 1));
    dispatch(level, Product { sign, a, b, c, step });
}

struct Product<'a, T> {
    sign: T,
    a: View<'a, T>,
    b: View<'a, T>,
    c: &'a mut [T],
    step: usize,
}

impl<T: Real> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sign, a, b, c, step } = self;
        let factor = |row: usize, k: usize| sign * a.data[a.place(row, k)];
        for left in (0..b.columns).step_by(WIDE) {
            let width = WIDE.min(b.columns - left);
            let line = |k: usize| &b.data[b.place(k, left)..][..width];
            for deep in (0..a.columns).step_by(DEEP) {
                let end = a.columns.min(deep + DEEP);
                for row in 0..a.rows {
                    let sums = &mut c[row * step + left..][..width];
                    let mut k = deep;
                    while k + EIGHT <= end {
                        let factors = std::array::from_fn(|term| factor(row, k + term));
                        add_eight(sums, factors, std::array::from_fn(|term| line(k + term)));
                        k += EIGHT;
                    }
                    for k in k..end {
                        let factor = factor(row, k);
                        for (sum, b) in sums.iter_mut().zip(line(k)) {
                            *sum = factor.fused(*b, *sum);
                        }
                    }
                }
            }
        }
    }
}

/// Terms that are added at one pass over a row of c, so that the sums are loaded and stored once for all of them.
const EIGHT: usize = 8;

/// `sums[j] += factors[0] b[0][j] + .. + factors[7] b[7][j]`, in this order.
#[inline(always)]
fn add_eight<T: Real>(sums: &mut [T], factors: [T; EIGHT], b: [&[T]; EIGHT]) {
    let width = sums.len();
    let [b0, b1, b2, b3, b4, b5, b6, b7] = b.map(|line| &line[..width]);
    let [f0, f1, f2, f3, f4, f5, f6, f7] = factors;
    for j in 0..width {
        let sum = f0.fused(b0[j], sums[j]);
        let sum = f1.fused(b1[j], sum);
        let sum = f2.fused(b2[j], sum);
        let sum = f3.fused(b3[j], sum);
        let sum = f4.fused(b4[j], sum);
        let sum = f5.fused(b5[j], sum);
        let sum = f6.fused(b6[j], sum);
        sums[j] = f7.fused(b7[j], sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize, seed: u32) -> Vec<f32> {
        (0..count as u32)
            .map(|k| ((k ^ seed).wrapping_mul(0x9E37_79B9) >> 8) as f32 / 8_388_608.0 - 1.0)
            .collect()
    }

    #[test]
    fn every_sum_runs_in_sequence_at_every_level() {
        for (rows, depth, columns) in
            [(1, 1, 1), (3, 5, 7), (8, 32, 32), (130, 300, 33), (17, 513, 65), (2, 0, 3)]
        {
            let (a, b) = (filled(rows * depth, 1), filled(depth * columns, 2));
            let start = filled(rows * columns, 3);
            let mut expected = start.clone();
            let mut descending = start.clone();
            for i in 0..rows {
                for j in 0..columns {
                    for k in 0..depth {
                        let to = &mut expected[i * columns + j];
                        *to = a[i * depth + k].mul_add(b[k * columns + j], *to);
                        let k = depth - 1 - k;
                        let to = &mut descending[i * columns + j];
                        *to = (-a[i * depth + k]).mul_add(b[k * columns + j], *to);
                    }
                }
            }
            let (a, b) = (View::new(&a, depth), View::new(&b, columns));
            for &level in Level::available() {
                let mut c = start.clone();
                let view = View { rows, ..a };
                add_product(level, 1.0, view, b, &mut c, columns);
                assert_eq!(c, expected, "{level:?} {rows} {depth} {columns}");
                let mut c = start.clone();
                add_product(level, -1.0, view.columns_reversed(), b.rows_reversed(), &mut c, columns);
                assert_eq!(c, descending, "{level:?} {rows} {depth} {columns}");
            }
        }
    }
}
