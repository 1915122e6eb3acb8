//! Haar-distributed matrices as products of Householder reflections (Stewart 1980, section 3).
//!
//! The matrix has m rows and n columns, where n <= m. The definitions for each column j in 0..n are:
//!
//! * x_j is a vector of m elements. The rows 0..j are zero. The rows j..m are independent standard normal variates.
//! * x_jj is the element of x_j in row j, and e_j is the unit vector with 1 in row j.
//! * `v_j = x_j + sign(x_jj) |x_j| e_j` is the vector of reflection j.
//! * `H_j = I - 2 v_j v_j^T / |v_j|^2` is reflection j. It maps x_j to `-sign(x_jj) |x_j| e_j`.
//! * `d_j = -sign(x_jj)` is a sign. D is the diagonal matrix of these signs.
//!
//! The first n columns of `H_0 H_1 .. H_(n-1) D` are Haar-distributed.
//!
//! These columns are computed by matrix products (the UT transform; Joffrain et al. 2006):
//!
//! * V is the matrix with the columns v_j. V_top is the matrix of the first n rows of V.
//! * `S = striu(V^T V) + diag(|v_j|^2 / 2)`, where `striu` is the strictly upper triangle.
//! * The product of the reflections is `I - V S^-1 V^T`.
//! * `W = S^-1 V_top^T` is upper triangular. Back substitution computes W from the last row to the first row:
//!   `W[i][c] = (V[c][i] - sum_k S[i][k] W[k][c]) / S[i][i]`, where k > i.
//! * Q is the result: `Q[i][c] = (delta_ic - sum_k V[i][k] W[k][c]) d_c`. delta_ic is 1 if i = c, and 0 otherwise.
//!
//! The order of every sum is fixed, and each step is one fused multiply-add in the element type. The column norms and S
//! are sums over the rows of V in ascending order. The sums over k are in descending order of k for W, and in ascending
//! order of k for Q.

use std::ops::Range;

use super::product::{Terms, View, add_product};
use super::real::Real;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::threads::Threads;

/// An orthogonal matrix Q, stored as a product of reflections (see the module documentation). Any part of Q can be
/// computed separately.
#[derive(Debug, Clone)]
pub(crate) struct Reflections<T> {
    columns: usize,
    /// The matrix V, row-major, which is zero above the diagonal.
    vectors: Vec<T>,
    /// The matrix W, row-major, which is zero below the diagonal.
    factor: Vec<T>,
    /// The sign d_j of each column j: 1, -1 or 0.
    signs: Vec<T>,
    level: Level,
}

/// Returns the size of a panel: the number of rows of S, or of columns of W, that one job computes. The module
/// documentation defines S and W. Large panels make the matrix products fast. Small panels give every thread some jobs.
fn panel(columns: usize, threads: Threads) -> usize {
    (columns / (6 * threads.count())).next_multiple_of(96).clamp(96, 480)
}

/// The greatest number of rows of the system `S W = V_top^T` that [`Substitution`] solves at once. A longer range of
/// rows is split into halves. The module documentation defines S, W and V_top.
const FEW: usize = 16;

impl<T: Real> Reflections<T> {
    /// Creates the reflections from the columns x_j (see the module documentation). `gaussian` is the row-major matrix
    /// with these columns.
    pub(crate) fn new(gaussian: Vec<T>, columns: usize, level: Level, threads: Threads) -> Self {
        let mut it = Self { columns, vectors: gaussian, factor: Vec::new(), signs: Vec::new(), level };
        debug_assert!(it.vectors.len() >= columns * columns);
        let halves = it.reflect(threads);
        it.factor(&halves, threads);
        it
    }

    /// Creates the reflections from the vectors v_j (see the module documentation). `vectors` is the matrix V,
    /// row-major, with zeros above the diagonal. `halves` contains `|v_j|^2 / 2`. `signs` contains d_j.
    pub(super) fn from_vectors(
        vectors: Vec<T>,
        columns: usize,
        halves: &[T],
        signs: Vec<T>,
        level: Level,
        threads: Threads,
    ) -> Self {
        let mut it = Self { columns, vectors, factor: Vec::new(), signs, level };
        it.factor(halves, threads);
        it
    }

    /// Stores `W = S^-1 V_top^T` in `self.factor` (see the module documentation). `halves` is the diagonal of S.
    fn factor(&mut self, halves: &[T], threads: Threads) {
        let it = self;
        let columns = it.columns;
        let product = it.products(halves, threads);
        let mut solved: Vec<_> = panels(columns, panel(columns, threads))
            .into_iter()
            .map(|panel| (panel.clone(), Vec::new()))
            .collect();
        // The last panels are solved first, because they have the most rows.
        threads.for_each(solved.iter_mut().rev().collect(), |(panel, solved)| {
            *solved = it.solve(&product, panel.clone());
        });
        it.factor = product;
        threads.chunks(&mut it.factor, 64 * columns.max(1), |first, rows| {
            for (row, values) in (first / columns..).zip(rows.chunks_exact_mut(columns)) {
                // From row `panel.end` on, nothing is written to the columns `panel`. There, `values` contains zeros of
                // S, and W is also zero.
                for (panel, solved) in &solved {
                    if let Some(solved) = solved.get(row * panel.len()..(row + 1) * panel.len()) {
                        values[panel.clone()].copy_from_slice(solved);
                    }
                }
            }
        });
    }

    fn view(&self) -> View<'_, T> {
        View::new(&self.vectors, self.columns)
    }

    /// Replaces each column x_j of `self.vectors` by v_j (see the module documentation). Stores each d_j in
    /// `self.signs`. Returns `|v_j|^2 / 2` for each j.
    fn reflect(&mut self, threads: Threads) -> Vec<T> {
        let n = self.columns;
        let squares = threads.map(panels(n, panel(n, threads)), |panel| {
            let mut squares = vec![T::default(); panel.len()];
            dispatch(
                self.level,
                Squares { vectors: &self.vectors, columns: n, panel, squares: &mut squares },
            );
            squares
        });
        let mut halves = squares.concat();
        self.signs = vec![T::ONE; n];
        for (j, half) in halves.iter_mut().enumerate() {
            let norm = half.root();
            let diagonal = &mut self.vectors[j * n + j];
            let negative = *diagonal < T::default();
            let magnitude = if negative { -*diagonal } else { *diagonal };
            // `|v|^2 / 2 = |x| (|x| + |x_jj|)`. If this is 0, v is zero, and the reflection is the identity. `*half` is
            // then 1, because it is a divisor. In this function, the sign of 0 is 1.
            let half_square = norm * (norm + magnitude);
            *half = if half_square == T::default() { T::ONE } else { half_square };
            *diagonal = if negative { *diagonal - norm } else { *diagonal + norm };
            self.signs[j] = if negative { T::ONE } else { -T::ONE };
        }
        halves
    }

    /// Returns `S = striu(V^T V) + diag(diagonal)` (see the module documentation), row-major. `diagonal` contains the
    /// values `|v_j|^2 / 2`.
    ///
    /// The elements below the diagonal are unspecified if their row and their column belong to the same range of
    /// [`panels`]. All other elements below the diagonal are zero.
    fn products(&self, diagonal: &[T], threads: Threads) -> Vec<T> {
        let n = self.columns;
        let rows = self.vectors.len().checked_div(n).unwrap_or(0);
        let mut product = vec![T::default(); n * n];
        let height = panel(n, threads);
        let blocks = product.chunks_mut((height * n).max(1)).enumerate().collect();
        threads.for_each(blocks, |(number, product): (usize, &mut [T])| {
            let top = number * height;
            let bottom = n.min(top + height);
            // The rows of V before `top` are left out. They are zero in the columns from `top` on.
            let these = self.view().part(top..rows, top..bottom).transposed();
            product.chunks_exact_mut(n).for_each(|row| claim(&mut row[top..]));
            let those = self.view().part(top..rows, top..n);
            add_product(self.level, T::ONE, these, those, Terms::Gram, &mut product[top..], n);
            for (row, values) in (top..bottom).zip(product.chunks_exact_mut(n)) {
                values[row] = diagonal[row];
            }
        });
        product
    }

    /// Returns the columns `panel` of W, the solution of `S W = V_top^T`. `product` is S. Only the rows `0..panel.end`
    /// are returned, because W is zero below them.
    fn solve(&self, product: &[T], panel: Range<usize>) -> Vec<T> {
        let (n, width) = (self.columns, panel.len());
        // V_top^T and W are zero below the diagonal, so `solved` has only the rows before `panel.end`.
        let mut solved = vec![T::default(); panel.end * width];
        claim(&mut solved);
        for (column, values) in panel.clone().zip(self.vectors[panel.start * n..].chunks_exact(n)) {
            for (row, value) in values[..=column].iter().enumerate() {
                solved[row * width + column - panel.start] = *value;
            }
        }
        self.solve_rows(View::new(product, n), 0..panel.end, &mut solved, width);
        solved
    }

    /// Solves the rows in the range `rows` of the system `S W = V_top^T` (see the module documentation). `s` is S. In
    /// these rows, `solved` must contain the right-hand side minus the terms of all later rows. The solution overwrites
    /// these rows of `solved`. The order of each sum is the same as in back substitution row by row.
    fn solve_rows(&self, s: View<'_, T>, rows: Range<usize>, solved: &mut [T], width: usize) {
        let Range { start, end } = rows;
        if rows.len() <= FEW {
            let few = &mut solved[start * width..end * width];
            return dispatch(self.level, Substitution { s: s.part(rows.clone(), rows), solved: few, width });
        }
        let middle = start + (rows.len() / 2).next_multiple_of(FEW);
        self.solve_rows(s, middle..end, solved, width);
        let (upper, lower) = solved.split_at_mut(middle * width);
        let lower = View::new(&lower[..(end - middle) * width], width).rows_reversed();
        let factors = s.part(start..middle, middle..end).columns_reversed();
        add_product(self.level, -T::ONE, factors, lower, Terms::All, &mut upper[start * width..], width);
        self.solve_rows(s, start..middle, solved, width);
    }

    /// Writes the part of `gain * Q` in the rows `rows` and the columns `columns` to `out`, row-major.
    pub(crate) fn part(&self, rows: Range<usize>, columns: Range<usize>, gain: T, out: &mut [T]) {
        let width = columns.len();
        out.fill(T::default());
        // The terms `V[i][k] W[k][c]` with k >= `depth` are zero: V is lower triangular, and W is upper triangular.
        let depth = columns.end.min(rows.end);
        if !out.is_empty() {
            let vectors = self.view().part(rows.clone(), 0..depth);
            let selected = Terms::Upper { offset: columns.start };
            let factor = View::new(&self.factor, self.columns).part(0..depth, columns.clone());
            add_product(self.level, T::ONE, vectors, factor, selected, out, width);
        }
        for (row, values) in rows.zip(out.chunks_exact_mut(width.max(1))) {
            let on_diagonal = columns.contains(&row).then(|| T::ONE - values[row - columns.start]);
            for (value, sign) in values.iter_mut().zip(&self.signs[columns.clone()]) {
                *value = (T::default() - *value) * *sign * gain;
            }
            if let Some(value) = on_diagonal {
                values[row - columns.start] = value * self.signs[row] * gain;
            }
        }
    }
}

/// Writes zeros to freshly allocated zeroed memory, so that the first access to each page is a write. After a read, the
/// page would be mapped to a shared page of zeros. The first write would then change the mapping on all CPUs that run
/// threads of the process (a TLB shootdown).
fn claim<T: Real>(zeros: &mut [T]) {
    zeros.fill(T::default());
    std::hint::black_box(zeros);
}

/// Splits `0..columns` into ranges of length `width`. The last range may be shorter.
fn panels(columns: usize, width: usize) -> Vec<Range<usize>> {
    (0..columns).step_by(width.max(1)).map(|left| left..columns.min(left + width)).collect()
}

/// The kernel that adds the squares of the elements of each column of a panel to `squares`, row by row.
struct Squares<'a, T> {
    vectors: &'a [T],
    columns: usize,
    panel: Range<usize>,
    squares: &'a mut [T],
}

impl<T: Real> Kernel for Squares<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        for values in self.vectors.chunks_exact(self.columns).skip(self.panel.start) {
            for (square, value) in self.squares.iter_mut().zip(&values[self.panel.clone()]) {
                *square = value.mul_add(*value, *square);
            }
        }
    }
}

/// The kernel that solves some rows of `S W = V_top^T` (see the module documentation) by back substitution. `s` is the
/// diagonal block of S for these rows. At first, `solved` is the right-hand side minus the terms of all later rows. The
/// solution then overwrites `solved`.
struct Substitution<'a, T> {
    s: View<'a, T>,
    solved: &'a mut [T],
    width: usize,
}

impl<T: Real> Kernel for Substitution<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { s, solved, width } = self;
        let count = solved.len() / width;
        for row in (0..count).rev() {
            let (these, below) = solved[row * width..].split_at_mut(width);
            for k in (row + 1..count).rev() {
                let minus = -s.at(row, k);
                for (value, other) in these.iter_mut().zip(&below[(k - row - 1) * width..]) {
                    *value = minus.mul_add(*other, *value);
                }
            }
            let divisor = s.at(row, row);
            these.iter_mut().for_each(|value| *value = *value / divisor);
        }
    }
}
