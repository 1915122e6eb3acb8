//! Blocked QR factorization by Householder reflections.
//!
//! The columns are factored in panels. The definitions for a panel are:
//!
//! * `H_j = I - v_j v_j^T / h_j` with `h_j = |v_j|^2 / 2` is reflection j of the panel.
//! * V is the matrix with the columns v_j.
//! * C is the matrix of the columns to the right of the panel.
//! * `S = striu(V^T V) + diag(h)`, where `striu` is the strictly upper triangle.
//!
//! The product `H_0 H_1 ..` of the reflections is one block reflector, `I - V T V^T` with `T = S^-1` (the compact WY
//! form; Schreiber and Van Loan 1989). The transpose of the block reflector is applied to C: `C := C - V Y`, where Y is
//! the solution of the triangular system `S^T Y = V^T C`. T is not computed (the UT transform; Joffrain et al. 2006).
//!
//! After a panel has been factored, one thread updates the next panel and then factors it. At the same time, other
//! threads update the later panels.
//!
//! The order of every sum is fixed. It does not depend on the number of threads or on the SIMD level. The module
//! `product` defines the order of matrix products. The module `panel` computes norms and scalar products as partial
//! sums, which are then added in a fixed order.

use super::panel::factor;
use super::product::View;
use super::real::Real;
use super::reflections::Reflections;
use super::transpose::transpose;
use crate::dtype::Element;
use crate::simd::Level;
use crate::threads::Threads;

/// Computes an orthogonal matrix from `gaussian`, as `torch.nn.init.orthogonal_` does. Writes the orthogonal matrix,
/// multiplied by `gain`, to `out`. The matrices `gaussian` and `out` are row-major and have the size `(rows, columns)`.
///
/// The orthogonal matrix is computed from the thin QR factorization of `gaussian`: each column of the factor Q is
/// multiplied by the sign of the diagonal element of R in the same column. If `gaussian` has fewer rows than columns,
/// its transpose is factored, and the orthogonal matrix is transposed back.
///
/// As in torch, the sign of 0 is 0. If a diagonal element of R is zero, that column of Q is therefore multiplied by 0.
pub(crate) fn haar<T: Real, E: Element>(
    gaussian: Vec<T>,
    (rows, columns): (usize, usize),
    gain: T,
    level: Level,
    threads: Threads,
    out: &mut [E],
) {
    let wide = rows < columns;
    let (long, short) = (rows.max(columns), rows.min(columns));
    /// The least number of multiply-add operations (`long * short^2`) for which several threads are used. For smaller
    /// matrices, several threads are not faster than one.
    const MANY: u128 = 1 << 26;
    let enough = long as u128 * (short as u128).pow(2) >= MANY;
    let threads = if enough { threads } else { Threads::One };
    let factored = Qr::new(gaussian, (rows, columns), level, threads);
    let signs = factored.diagonal.iter().map(|&r| sign(r)).collect();
    let vectors = factored.vectors(threads);
    let q = Reflections::from_vectors(vectors, short, &factored.halves, signs, level, threads);
    drop(factored);
    /// The number of rows that one job writes.
    const BAND: usize = 384;
    let bands: Vec<_> = out.chunks_mut((BAND * columns).max(1)).enumerate().collect();
    // The jobs of the last rows start first. They take the longest, because their sums have the most terms.
    threads.for_each(bands.into_iter().rev().collect(), |(number, out): (usize, &mut [E])| {
        let top = number * BAND;
        let band = top..top + out.len() / columns;
        let write = |out: &mut [T]| {
            if wide {
                let mut tall = vec![T::default(); out.len()];
                q.part(0..columns, band.clone(), gain, &mut tall);
                transpose(&tall, band.len(), out, columns);
            } else {
                q.part(band.clone(), 0..columns, gain, out);
            }
        };
        if let Some(out) = T::memory(E::values(&mut *out)) {
            return write(out);
        }
        let mut part = vec![T::default(); out.len()];
        write(&mut part);
        T::store(&part, out);
    });
}

/// Returns the sign of a value: 1, -1 or 0.
fn sign<T: Real>(value: T) -> T {
    if value > T::default() {
        T::ONE
    } else if value < T::default() {
        -T::ONE
    } else {
        T::default()
    }
}

/// The QR factorization of a matrix with at least as many rows as columns.
pub(super) struct Qr<T> {
    rows: usize,
    columns: usize,
    /// The panels of columns, row-major. The rows above the diagonal block of a panel belong to R. The other rows
    /// belong to V (see the module documentation).
    panels: Vec<Vec<T>>,
    /// For each panel, the diagonal block of R, row-major. The rows and the columns of this block have the same indices
    /// as the columns of the panel. The elements on the diagonal of R are in the field `diagonal` instead.
    corners: Vec<Vec<T>>,
    /// The number of columns of a panel. The last panel may have fewer.
    width: usize,
    /// The value `h_j = |v_j|^2 / 2` of each reflection. If v_j is zero, the value is 1 instead, because the value is
    /// used as a divisor.
    pub(super) halves: Vec<T>,
    /// The diagonal of R.
    pub(super) diagonal: Vec<T>,
}

/// Returns the number of columns of a panel, for a matrix with `columns` columns.
fn panel_width(columns: usize) -> usize {
    match columns {
        0..=512 => 64,
        513..=1536 => 128,
        _ => 256,
    }
}

impl<T: Real> Qr<T> {
    /// Factors a row-major matrix. If the matrix has fewer rows than columns, its transpose is factored instead. The
    /// sum of squares of each factored column must not overflow.
    ///
    /// Before reflection j is computed, the reflections 0..j are applied to column j. Reflection j is computed from the
    /// elements of this column in the rows from j on. If the sum of squares of these elements is less than
    /// `Real::TINY`, these elements are treated as zero.
    pub(super) fn new(
        matrix: Vec<T>,
        (rows, columns): (usize, usize),
        level: Level,
        threads: Threads,
    ) -> Self {
        let (long, short) = (rows.max(columns), rows.min(columns));
        let width = panel_width(short);
        let lefts = (0..short).step_by(width).collect();
        let mut panels = threads.map(lefts, |left| {
            let across = width.min(short - left);
            let mut panel = vec![T::default(); long * across];
            if rows < columns {
                transpose(&matrix[left * columns..][..across * columns], columns, &mut panel, across);
            } else {
                for (to, from) in panel.chunks_exact_mut(across).zip(matrix.chunks_exact(columns)) {
                    to.copy_from_slice(&from[left..left + across]);
                }
            }
            panel
        });
        drop(matrix);
        let mut it = Self {
            rows: long,
            columns: short,
            panels: Vec::new(),
            corners: Vec::new(),
            width,
            halves: Vec::with_capacity(short),
            diagonal: Vec::with_capacity(short),
        };
        let mut next = panels.first_mut().map(|panel| factor(panel, width.min(short), level));
        let mut left = 0;
        while let Some(reflector) = next.take() {
            let across = reflector.halves.len();
            let (done, rest) = panels[left / width..].split_first_mut().expect("a panel to update");
            let vectors = View::new(&done[left * across..], across);
            let jobs = rest.iter_mut().enumerate().collect();
            let factored = threads.map(jobs, |(number, panel): (usize, &mut Vec<T>)| {
                let across = width.min(short - left - (number + 1) * width);
                reflector.apply(vectors, &mut panel[left * across..], across, across, level);
                (number == 0).then(|| factor(&mut panel[(left + width) * across..], across, level))
            });
            next = factored.into_iter().next().flatten();
            it.halves.extend(reflector.halves);
            it.diagonal.extend(reflector.diagonal);
            it.corners.push(reflector.corner);
            left += width;
        }
        it.panels = panels;
        it
    }

    /// Returns the matrix V, row-major, with zeros above the diagonal.
    pub(super) fn vectors(&self, threads: Threads) -> Vec<T> {
        let (n, width) = (self.columns, self.width);
        let mut vectors = vec![T::default(); self.rows * n];
        threads.chunks(&mut vectors, (128 * n).max(1), |first, out| {
            for (row, out) in (first / n..).zip(out.chunks_exact_mut(n)) {
                for (panel, out) in self.panels.iter().zip(out.chunks_mut(width)).take(row / width + 1) {
                    out.copy_from_slice(&panel[row * out.len()..][..out.len()]);
                }
            }
        });
        vectors
    }

    /// Returns the matrix R, row-major, with zeros below the diagonal.
    pub(super) fn upper(&self) -> Vec<T> {
        let (n, width) = (self.columns, self.width);
        let mut upper = vec![T::default(); n * n];
        for (row, out) in upper.chunks_exact_mut(n.max(1)).enumerate() {
            for (number, out) in out.chunks_mut(width).enumerate().skip(row / width) {
                let across = out.len();
                let on_diagonal = number == row / width;
                let from = if on_diagonal { &self.corners[number] } else { &self.panels[number] };
                let row = if on_diagonal { row % width } else { row };
                out.copy_from_slice(&from[row * across..][..across]);
            }
            out[row] = self.diagonal[row];
        }
        upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::product::{Terms, add_product};

    fn normal<T: Element>(count: usize) -> Vec<T> {
        let mut values = vec![T::default(); count];
        let plan = crate::Plan::new(&[count], T::DTYPE, crate::Distribution::Normal { mean: 0.0, std: 1.0 })
            .unwrap();
        plan.fill(&mut values, &mut crate::Torch::new(5)).unwrap();
        values
    }

    /// Does nothing: a `run` function of a [`crate::Team`] that never calls `work`.
    fn idle(_: usize, _: &(dyn Fn() + Sync)) {}

    /// Returns the greatest magnitude of an element of `a b - c`. The matrices are row-major, and `b` has `depth` rows.
    fn max_difference(a: &[f64], b: &[f64], c: &[f64], depth: usize) -> f64 {
        let columns = b.len() / depth;
        let mut product = vec![0.0; c.len()];
        add_product(
            Level::best(),
            1.0,
            View::new(a, depth),
            View::new(b, columns),
            Terms::All,
            &mut product,
            columns,
        );
        product.iter().zip(c).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn q_is_orthogonal_and_q_times_r_is_the_matrix() {
        for (rows, columns) in
            [(1, 1), (7, 1), (5, 3), (33, 33), (70, 65), (200, 129), (700, 530), (513, 513)]
        {
            let matrix: Vec<f64> = normal(rows * columns);
            let mut q = vec![0.0; matrix.len()];
            let (level, threads) = (Level::best(), Threads::One);
            haar(matrix.clone(), (rows, columns), 1.0, level, threads, &mut q);
            let mut r = Qr::new(matrix.clone(), (rows, columns), level, threads).upper();
            for (k, row) in r.chunks_exact_mut(columns).enumerate() {
                assert!(row[..k].iter().all(|&value| value == 0.0));
                let sign = row[k].signum();
                row.iter_mut().for_each(|value| *value *= sign);
            }
            assert!(max_difference(&q, &r, &matrix, columns) < 1e-14 * rows as f64, "{rows} {columns}");
            let mut transposed = vec![0.0; q.len()];
            transpose(&q, columns, &mut transposed, rows);
            let mut unit = vec![0.0; columns * columns];
            unit.iter_mut().step_by(columns + 1).for_each(|value| *value = 1.0);
            assert!(max_difference(&transposed, &q, &unit, rows) < 1e-14 * rows as f64, "{rows} {columns}");
            if rows == columns {
                continue;
            }
            // The result for the transposed matrix is the transpose of the result for the matrix.
            let mut wide = vec![0.0; matrix.len()];
            transpose(&matrix, columns, &mut wide, rows);
            let mut found = vec![0.0; matrix.len()];
            haar(wide, (columns, rows), 1.0, level, threads, &mut found);
            assert!(found == transposed, "{rows} {columns}");
        }
    }

    #[test]
    fn results_are_bit_identical_for_any_number_of_threads_and_any_simd_level() {
        for (rows, columns) in [(300, 200), (90, 400), (600, 600)] {
            let matrix: Vec<f32> = normal(rows * columns);
            let made = |level, threads| {
                let mut q = vec![0f32; matrix.len()];
                haar(matrix.clone(), (rows, columns), 1.5, level, threads, &mut q);
                q
            };
            let first = made(Level::Scalar, Threads::One);
            for &level in Level::available() {
                assert!(made(level, Threads::Pool) == first, "{level:?} {rows} {columns}");
                let team = Threads::Team(crate::Team::new(7, idle));
                assert!(made(level, team) == first, "{level:?} {rows} {columns}");
            }
        }
    }

    #[test]
    fn columns_of_zeros_stay_zero() {
        let mut q = [9f32; 12];
        haar(vec![0f32; 12], (4, 3), 1.0, Level::best(), Threads::One, &mut q);
        assert_eq!(q, [0.0; 12]);
        let mut q = [9f64; 6];
        haar(vec![3.0, 0.0, 0.0, 0.0, -4.0, 0.0], (3, 2), 1.0, Level::best(), Threads::One, &mut q);
        for (found, expected) in q.iter().zip([0.6, 0.0, 0.0, 0.0, -0.8, 0.0]) {
            assert!((found - expected).abs() < 1e-15, "{q:?}");
        }
    }
}
