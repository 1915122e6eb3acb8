//! Haar-distributed matrices as products of Householder reflections (Stewart 1980, section 3).
//!
//! The matrix has m rows and n columns, where n <= m. The definitions for each column j in 0..n are:
//!
//! * x_j is a vector of m elements. The rows 0..j are zero. The rows j..m are independent standard normal variates.
//! * x_jj is the element of x_j in row j, and e_j is the unit vector with 1 in row j.
//! * `v_j = x_j + sign(x_jj) |x_j| e_j` is the vector of a reflection.
//! * `H_j = I - 2 v_j v_j^T / |v_j|^2` is this reflection. It maps x_j to `-sign(x_jj) |x_j| e_j`.
//! * `d_j = -sign(x_jj)` is a sign. D is the diagonal matrix of these signs.
//!
//! The first n columns of `H_0 H_1 .. H_(n-1) D` are Haar-distributed.
//!
//! These columns are computed by matrix products (the UT transform; Joffrain et al. 2006):
//!
//! * V is the matrix with the columns v_j. V_top is the matrix of the first n rows of V.
//! * `S = striu(V^T V) + diag(|v_j|^2 / 2)`, where `striu` is the strictly upper triangle.
//! * The product of the reflections is `I - V S^-1 V^T`.
//! * `W = S^-1 V_top^T` is upper triangular.
//! * The element of the result in row i and column c is `Q[i][c] = (delta_ic - sum_k V[i][k] W[k][c]) d_c`. delta_ic is
//!   1 if i = c, and 0 otherwise.
//!
//! The order of every sum is fixed, and each step is one fused multiply-add in the element type. The column norms and S
//! are sums over the rows of V in ascending order. An element of W is a sum over k in descending order. An element of Q
//! is a sum over k in ascending order.

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

/// Returns the number of rows of S, or of columns of W, that one job computes. These rows or columns are a panel. Large
/// panels make the matrix products fast. Small panels give every thread some jobs.
fn panel(columns: usize, threads: Threads) -> usize {
    (columns / (6 * threads.count())).next_multiple_of(96).clamp(96, 480)
}

/// Rows of W are computed by plain back substitution only if there are at most this many rows. More rows are split into
/// halves, and matrix products subtract the terms of one half from the other half.
const FEW: usize = 16;

impl<T: Real> Reflections<T> {
    /// Creates the reflections of a row-major matrix that has Gaussian elements on and below the diagonal, and zeros
    /// above the diagonal. The matrix must have at least as many rows as columns.
    pub(crate) fn new(gaussian: Vec<T>, columns: usize, level: Level, threads: Threads) -> Self {
        let mut it = Self { columns, vectors: gaussian, factor: Vec::new(), signs: Vec::new(), level };
        debug_assert!(it.vectors.len() >= columns * columns);
        let halves = it.reflect(threads);
        it.factor(&halves, threads);
        it
    }

    /// Creates the reflections from the matrix V. `vectors` is V, row-major, with zeros above the diagonal. For each
    /// column j of V, `halves` contains the value `|v_j|^2 / 2`, and `signs` contains the sign d_j (see the module
    /// documentation).
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

    /// Computes `W = S^-1 V_top^T` and stores W in `self.factor`. `halves` contains the values `|v_j|^2 / 2`, which
    /// are the diagonal of S. (The module documentation defines the matrices.)
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
                // In the columns `panel`, W is zero from row `panel.end` on. These zeros need not be written, because
                // the memory contained S, which is also zero there.
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

    /// Replaces each column x_j by the reflection vector v_j, stores the signs d_j, and returns `|v_j|^2 / 2` for each
    /// j. (The module documentation defines x_j, v_j and d_j.)
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
            // `*half` becomes `|v|^2 / 2 = |x| (|x| + |x_jj|)`. If x is zero, `*half` is set to 1 instead, because
            // `*half` is used as a divisor. The reflection is then the identity, because v is zero. In this function,
            // the sign of 0 is 1.
            let half_square = norm * (norm + magnitude);
            *half = if half_square == T::default() { T::ONE } else { half_square };
            *diagonal = if negative { *diagonal - norm } else { *diagonal + norm };
            self.signs[j] = if negative { T::ONE } else { -T::ONE };
        }
        halves
    }

    /// Returns `S = striu(V^T V) + diag(diagonal)`, row-major. `diagonal` contains the values `|v_j|^2 / 2`. Below
    /// the diagonal, the elements within the diagonal block of each panel are unspecified, and the other elements are
    /// zero.
    fn products(&self, diagonal: &[T], threads: Threads) -> Vec<T> {
        let n = self.columns;
        let rows = self.vectors.len().checked_div(n).unwrap_or(0);
        let mut product = vec![T::default(); n * n];
        let height = panel(n, threads);
        let blocks = product.chunks_mut((height * n).max(1)).enumerate().collect();
        threads.for_each(blocks, |(number, product): (usize, &mut [T])| {
            let top = number * height;
            let bottom = n.min(top + height);
            // V is zero above its diagonal. The rows of V before `top` are therefore zero in the columns from `top` on,
            // and are left out.
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

    /// Returns the columns `panel` of W. W is the solution of `S W = V_top^T`, and `product` is S. The columns are
    /// computed by back substitution, from the last row to the first. Only the rows `0..panel.end` are returned,
    /// because W is zero below these rows.
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

    /// Solves the equations `rows` of `S W = V_top^T`. `solved` is the right-hand side, from which the terms of all
    /// later rows must have been subtracted. The solution replaces `solved`. The function solves the lower half of the
    /// rows, subtracts the terms of the lower half from the upper half, and then solves the upper half. The order of
    /// each sum is the same as in back substitution row by row.
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
        // V is zero to the right of its diagonal, and W is zero below its diagonal. The terms `V[i][k] W[k][c]` with
        // k >= `depth` are therefore zero.
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

/// Writes zeros to freshly allocated zeroed memory, so that the first access to each page is a write. If the first
/// access were a read, the operating system would map the page to a shared page of zeros. The first write would then
/// replace this mapping, and all CPUs that run threads of the process would wait for the replacement.
fn claim<T: Real>(zeros: &mut [T]) {
    zeros.fill(T::default());
    std::hint::black_box(zeros);
}

/// Splits `0..columns` into ranges of length `width`. The last range may be shorter.
fn panels(columns: usize, width: usize) -> Vec<Range<usize>> {
    (0..columns).step_by(width.max(1)).map(|left| left..columns.min(left + width)).collect()
}

/// Adds the squares of the elements of each column of a panel to `squares`, row by row.
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

/// Solves some rows of `S W = V_top^T` by back substitution, from the last row to the first. `s` is the diagonal block
/// of S for these rows. `solved` is the right-hand side, from which the terms of all later rows have been subtracted.
/// The solution replaces `solved`.
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
