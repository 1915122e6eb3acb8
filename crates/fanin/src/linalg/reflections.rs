//! A Haar-distributed matrix as a product of Householder reflections (Stewart 1980, section 3).
//!
//! For m rows and n <= m columns let x_j be independent standard Gaussian vectors on the rows j..m (j = 0..n), and
//! `v_j = x_j + sign(x_jj) |x_j| e_j`, so that `H_j = I - 2 v_j v_j^T / |v_j|^2` carries x_j to
//! `-sign(x_jj) |x_j| e_j`. With `D = diag(-sign(x_jj))` the first n columns of `H_0 H_1 .. H_(n-1) D` are Haar.
//! The product is `I - V S^-1 V^T`, `S = striu(V^T V) + diag(|v_j|^2 / 2)` (the UT transform; Joffrain et al. 2006), so
//! any entry is `Q[i][c] = (delta_ic - sum_k V[i][k] W[k][c]) d_c` with `W = S^-1 V_top^T` upper triangular.
//!
//! The order of every sum is fixed: column norms by row, ascending; S by row of V, ascending; W from the last k to the
//! first; Q by k, ascending; each step one fused multiply-add in the element type.

use super::Real;
use super::product::{View, add_product};
use crate::simd::Level;

/// The reflections of one matrix, ready to give any part of it.
#[derive(Debug, Clone)]
pub(crate) struct Reflections<T> {
    rows: usize,
    columns: usize,
    /// V, row-major: zero above the diagonal.
    vectors: Vec<T>,
    /// W, row-major: zero below the diagonal.
    factor: Vec<T>,
    /// d.
    signs: Vec<T>,
    level: Level,
}

/// Rows of W that are solved together.
const BLOCK: usize = 64;

impl<T: Real> Reflections<T> {
    /// From Gaussian entries, row-major, of which those on and below the diagonal are used. `rows >= columns`.
    pub(crate) fn new(mut gaussian: Vec<T>, columns: usize, level: Level) -> Self {
        let rows = gaussian.len().checked_div(columns).unwrap_or(0);
        debug_assert!(rows >= columns);
        for (row, values) in gaussian.chunks_exact_mut(columns.max(1)).enumerate() {
            values.iter_mut().skip(row + 1).for_each(|value| *value = T::default());
        }
        let mut squares = vec![T::default(); columns];
        for values in gaussian.chunks_exact(columns.max(1)) {
            for (square, value) in squares.iter_mut().zip(values) {
                *square = value.fused(*value, *square);
            }
        }
        let mut product = vec![T::default(); columns * columns];
        let mut signs = vec![T::ONE; columns];
        for j in 0..columns {
            let norm = squares[j].root();
            let diagonal = &mut gaussian[j * columns + j];
            let negative = *diagonal < T::default();
            let magnitude = if negative { -*diagonal } else { *diagonal };
            // |v|^2 / 2 = |x| (|x| + |x_jj|). A vector of zeros reflects nothing; sign(0) is 1 here.
            let half_square = norm * (norm + magnitude);
            product[j * columns + j] = if half_square == T::default() { T::ONE } else { half_square };
            *diagonal = if negative { *diagonal - norm } else { *diagonal + norm };
            signs[j] = if negative { T::ONE } else { -T::ONE };
        }
        let mut it = Self { rows, columns, vectors: gaussian, factor: Vec::new(), signs, level };
        it.upper_products(&mut product);
        it.factor = it.solve(&product);
        it
    }

    fn view(&self) -> View<'_, T> {
        View::new(&self.vectors, self.columns)
    }

    /// Adds V^T V above the diagonal.
    fn upper_products(&self, product: &mut [T]) {
        let n = self.columns;
        for top in (0..n).step_by(BLOCK) {
            let bottom = n.min(top + BLOCK);
            // Within the block all of its square is summed, and only what lies above the diagonal is kept.
            let mut square = vec![T::default(); (bottom - top) * (n - top)];
            // V is zero above its diagonal, so the sum of column k begins at row k; rows before `top` add nothing.
            let left = self.view().part(top..self.rows, top..bottom).transposed();
            let right = self.view().part(top..self.rows, top..n);
            add_product(self.level, T::ONE, left, right, &mut square, n - top);
            for row in top..bottom {
                let from = &square[(row - top) * (n - top)..][row + 1 - top..n - top];
                product[row * n + row + 1..(row + 1) * n].copy_from_slice(from);
            }
        }
    }

    /// W with S W = V_top^T, by substitution from the last row up.
    fn solve(&self, product: &[T]) -> Vec<T> {
        let n = self.columns;
        let mut solved = vec![T::default(); n * n];
        for row in 0..n {
            for column in row..n {
                solved[row * n + column] = self.vectors[column * n + row];
            }
        }
        let s = View::new(product, n);
        for top in (0..n).step_by(BLOCK).rev() {
            let bottom = n.min(top + BLOCK);
            let (block, later) = solved[top * n..].split_at_mut((bottom - top) * n);
            if bottom < n {
                // W is zero left of its diagonal: rows from `bottom` on have nothing before that column.
                let left = s.part(top..bottom, bottom..n).columns_reversed();
                let right = View::new(later, n).part(0..n - bottom, bottom..n).rows_reversed();
                add_product(self.level, -T::ONE, left, right, &mut block[bottom..], n);
            }
            for row in (top..bottom).rev() {
                let (these, below) = block[(row - top) * n..].split_at_mut(n);
                for k in (row + 1..bottom).rev() {
                    let minus = -product[row * n + k];
                    let other = &below[(k - row - 1) * n..][..n];
                    for column in k..n {
                        these[column] = minus.fused(other[column], these[column]);
                    }
                }
                let divisor = product[row * n + row];
                these[row..].iter_mut().for_each(|value| *value = *value / divisor);
            }
        }
        solved
    }

    /// `gain * Q` for these rows and columns, row-major.
    pub(crate) fn part(
        &self,
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        gain: T,
    ) -> Vec<T> {
        let width = columns.len();
        let mut out = vec![T::default(); rows.len() * width];
        // W has nothing below its diagonal: later k add nothing to these columns.
        let left = self.view().part(rows.clone(), 0..columns.end);
        let right = View::new(&self.factor, self.columns).part(0..columns.end, columns.clone());
        if width > 0 {
            add_product(self.level, T::ONE, left, right, &mut out, width);
            for (row, values) in rows.zip(out.chunks_exact_mut(width)) {
                for (column, value) in columns.clone().zip(values) {
                    let identity = if row == column { T::ONE } else { T::default() };
                    *value = (identity - *value) * self.signs[column] * gain;
                }
            }
        }
        out
    }
}
