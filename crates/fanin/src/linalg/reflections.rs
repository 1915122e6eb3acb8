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

use std::ops::Range;

use super::product::{View, Worth, add_product};
use super::real::Real;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};
use crate::threads::Threads;

/// The reflections of one matrix, ready to give any part of it.
#[derive(Debug, Clone)]
pub(crate) struct Reflections<T> {
    columns: usize,
    /// V, row-major: zero above the diagonal.
    vectors: Vec<T>,
    /// W, row-major: zero below the diagonal.
    factor: Vec<T>,
    /// d.
    signs: Vec<T>,
    level: Level,
}

/// Rows of S that are summed together, and columns of W that are solved together: enough for products to be quick, and few
/// enough for every thread to have some.
fn panel(columns: usize, threads: Threads) -> usize {
    (columns / (6 * threads.count())).next_multiple_of(96).clamp(96, 480)
}

/// Rows of W that are solved without products.
const FEW: usize = 16;

impl<T: Real> Reflections<T> {
    /// From Gaussian entries on and below the diagonal, row-major, and zeros above it. At least as many rows as columns.
    pub(crate) fn new(gaussian: Vec<T>, columns: usize, level: Level, threads: Threads) -> Self {
        let mut it = Self { columns, vectors: gaussian, factor: Vec::new(), signs: Vec::new(), level };
        debug_assert!(it.vectors.len() >= columns * columns);
        let halves = it.reflect(threads);
        it.factor(&halves, threads);
        it
    }

    /// From the v_j, row-major with zeros above the diagonal, `|v_j|^2 / 2` and d.
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

    /// Computes W.
    fn factor(&mut self, halves: &[T], threads: Threads) {
        let it = self;
        let columns = it.columns;
        let product = it.products(halves, threads);
        let mut solved: Vec<_> = panels(columns, panel(columns, threads))
            .into_iter()
            .map(|panel| (panel.clone(), Vec::new()))
            .collect();
        // The last panels are the highest.
        threads.for_each(solved.iter_mut().rev().collect(), |(panel, solved)| {
            *solved = it.solve(&product, panel.clone());
        });
        it.factor = product;
        threads.chunks(&mut it.factor, 64 * columns.max(1), |first, rows| {
            for (row, values) in (first / columns..).zip(rows.chunks_exact_mut(columns)) {
                // Left of the panels that reach this row nobody has written.
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

    /// Makes each x_j into v_j, and gives half the square of its length.
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
            // |v|^2 / 2 = |x| (|x| + |x_jj|). A vector of zeros reflects nothing; sign(0) is 1 here.
            let half_square = norm * (norm + magnitude);
            *half = if half_square == T::default() { T::ONE } else { half_square };
            *diagonal = if negative { *diagonal - norm } else { *diagonal + norm };
            self.signs[j] = if negative { T::ONE } else { -T::ONE };
        }
        halves
    }

    /// S, row-major; below its diagonal there is nothing of meaning, and left of a row's panel there are zeros.
    fn products(&self, diagonal: &[T], threads: Threads) -> Vec<T> {
        let n = self.columns;
        let rows = self.vectors.len().checked_div(n).unwrap_or(0);
        let mut product = vec![T::default(); n * n];
        let height = panel(n, threads);
        let blocks = product.chunks_mut((height * n).max(1)).enumerate().collect();
        threads.for_each(blocks, |(number, product): (usize, &mut [T])| {
            let top = number * height;
            let bottom = n.min(top + height);
            // V is zero above its diagonal: no sum begins before row `top`.
            let these = self.view().part(top..rows, top..bottom).transposed();
            product.chunks_exact_mut(n).for_each(|row| claim(&mut row[top..]));
            let those = self.view().part(top..rows, top..n);
            add_product(self.level, T::ONE, these, those, Worth::Gram, &mut product[top..], n);
            for (row, values) in (top..bottom).zip(product.chunks_exact_mut(n)) {
                values[row] = diagonal[row];
            }
        });
        product
    }

    /// A panel of W with S W = V_top^T, by substitution from the last row up.
    fn solve(&self, product: &[T], panel: Range<usize>) -> Vec<T> {
        let (n, width) = (self.columns, panel.len());
        // V_top^T is zero below its diagonal, and so is W.
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

    /// Solves these rows, from which all later ones have been taken off: the lower half, takes it off the upper one, and
    /// solves that. The order of the sums is that of row by row.
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
        add_product(self.level, -T::ONE, factors, lower, Worth::All, &mut upper[start * width..], width);
        self.solve_rows(s, start..middle, solved, width);
    }

    /// Writes `gain * Q` for these rows and columns, row-major.
    pub(crate) fn part(&self, rows: Range<usize>, columns: Range<usize>, gain: T, out: &mut [T]) {
        let width = columns.len();
        out.fill(T::default());
        // V is zero right of its diagonal, W below: later terms add nothing.
        let depth = columns.end.min(rows.end);
        if !out.is_empty() {
            let vectors = self.view().part(rows.clone(), 0..depth);
            let worth = Worth::Upper { offset: columns.start };
            let factor = View::new(&self.factor, self.columns).part(0..depth, columns.clone());
            add_product(self.level, T::ONE, vectors, factor, worth, out, width);
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

/// Writes the zeros of new memory, which is to be read before it is written. Read first, each page of it would be the one that
/// the system shows in place of all zeros; the write after that takes this one away, from all CPUs, which wait for each other.
fn claim<T: Real>(zeros: &mut [T]) {
    zeros.fill(T::default());
    std::hint::black_box(zeros);
}

/// Columns by panels.
fn panels(columns: usize, width: usize) -> Vec<Range<usize>> {
    (0..columns).step_by(width.max(1)).map(|left| left..columns.min(left + width)).collect()
}

/// The sums of squares of a panel's columns, by row.
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

/// Solves a few rows, the last one first.
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
