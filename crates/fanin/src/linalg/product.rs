//! Matrix products with a fixed order of summation.
//!
//! `c += a * b` is computed as `c[i][j] = fma(a[i][k], b[k][j], c[i][j])` for k = 0, 1, 2 and so on. Vectors extend
//! along j. Each element of c is therefore bit-identical for every block size and every vector width. An element also
//! does not depend on which other elements are computed. BLAS libraries do not guarantee these properties.

use std::ops::Range;

use super::real::Real;
use crate::cancel::check;
use crate::simd::{Kernel, Level, SimdElement, SimdIsa, SimdVector, dispatch};

/// A matrix whose elements are stored in a slice: element (i, j) is `data[start + i * row_step + j * column_step]`.
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
    /// Creates a view of a row-major matrix with `columns` columns.
    pub(super) fn new(data: &'a [T], columns: usize) -> Self {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        Self { data, start: 0, row_step: columns as isize, column_step: 1, rows, columns }
    }

    /// Creates a view of a row-major matrix whose rows begin `step` elements apart in `data`.
    pub(super) fn with_step(data: &'a [T], [rows, columns]: [usize; 2], step: usize) -> Self {
        Self { data, start: 0, row_step: step as isize, column_step: 1, rows, columns }
    }

    pub(super) fn size(self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Returns the transpose, without copying.
    pub(super) fn transposed(self) -> Self {
        Self {
            row_step: self.column_step,
            column_step: self.row_step,
            rows: self.columns,
            columns: self.rows,
            ..self
        }
    }

    /// Returns the submatrix that consists of these rows and columns.
    pub(super) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
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

    /// Returns the matrix with its columns in reverse order.
    pub(super) fn columns_reversed(self) -> Self {
        if self.columns == 0 || self.rows == 0 {
            return self;
        }
        Self { start: self.place(0, self.columns - 1), column_step: -self.column_step, ..self }
    }

    pub(super) fn rows_reversed(self) -> Self {
        self.transposed().columns_reversed().transposed()
    }

    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> T {
        self.data[self.place(row, column)]
    }

    #[inline(always)]
    fn place(&self, row: usize, column: usize) -> usize {
        (self.start as isize + row as isize * self.row_step + column as isize * self.column_step) as usize
    }
}

/// Selects which terms `a[i][k] * b[k][j]` of the matrix product `c += a * b` are computed. The other terms are zero,
/// or belong to an element `c[i][j]` that the caller does not need.
#[derive(Debug, Clone, Copy)]
pub(super) enum Terms {
    /// All terms.
    All,
    /// The terms `a[i][k] * b[k][j]` with `k <= j + offset`. The caller guarantees that `b[k][j]` is zero for every
    /// greater `k`, so the other terms may be omitted.
    Upper { offset: usize },
    /// The terms `a[i][k] * b[k][j]` of the elements `c[i][j]` with `i <= j`. The other elements of `c` are
    /// unspecified. The caller guarantees that `b[k][j]` is zero for `k < j`, so terms with `k < j` may be omitted.
    Gram,
}

impl Terms {
    /// Returns the range of the summation index `k` for a tile of the output matrix `c` (see [`Terms`]). The tile
    /// begins at the element `c[row][column]` and has `across` columns.
    #[inline(always)]
    fn range(self, (row, column): (usize, usize), across: usize) -> Range<usize> {
        match self {
            Terms::All => 0..usize::MAX,
            Terms::Upper { offset } => 0..column + across + offset,
            Terms::Gram if row >= column + across => 0..0,
            Terms::Gram => column..usize::MAX,
        }
    }
}

/// Adds `sign * a * b` to the matrix `c`. Each element of the product is a sum over the columns of `a`; only the
/// `selected` terms of this sum are added. The rows of `c` begin `step` elements apart. Adjacent columns of `b` must be
/// adjacent in memory.
pub(super) fn add_product<T: Real>(
    level: Level,
    sign: T,
    a: View<'_, T>,
    b: View<'_, T>,
    selected: Terms,
    c: &mut [T],
    step: usize,
) {
    debug_assert!(a.columns == b.rows && (b.columns < 2 || b.column_step == 1));
    let product = Product { sign, a, b, selected, c, step };
    dispatch(level, product);
}

struct Product<'a, T> {
    sign: T,
    a: View<'a, T>,
    b: View<'a, T>,
    selected: Terms,
    c: &'a mut [T],
    step: usize,
}

/// The number of columns of `a`, and of rows of `b`, in a block. A packed panel of `b` with `DEEP` rows fits in the L1
/// cache.
const DEEP: usize = 192;
/// The number of rows of `a` and `c` in a block. With the sizes `DEEP`, `HIGH` and `WIDE`, the packed elements in use
/// stay in the L2 cache.
const HIGH: usize = 384;
/// The number of columns of `b` and `c` in a block.
const WIDE: usize = 512;

impl<T: Real> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        // The registers limit the number of rows of a tile: each row of sums takes two vector registers. Only the
        // branch of this SIMD level is compiled.
        match I::REGISTERS {
            32 => self.in_tiles::<<T as SimdElement>::Vector<I>, 12>(),
            16 => self.in_tiles::<<T as SimdElement>::Vector<I>, 6>(),
            _ => self.in_tiles::<<T as SimdElement>::Vector<I>, 4>(),
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// Computes `c += sign * a * b` in tiles of `c` (Goto and van de Geijn 2008, "Anatomy of high-performance matrix
    /// multiplication"). A tile has `R` rows. Each row of a tile is two SIMD vectors wide. The sums of a tile stay in
    /// registers. First, `a` and `b` are packed: copied into the order in which the tiles read them.
    #[inline(always)]
    fn in_tiles<L: SimdVector<T>, const R: usize>(self) {
        let Product { sign, a, b, selected, c, step } = self;
        if a.rows == 0 || a.columns == 0 || b.columns == 0 {
            return;
        }
        let across = 2 * L::LANES;
        let mut packed_a = vec![T::default(); a.columns * HIGH.min(a.rows).next_multiple_of(R)];
        let mut packed_b =
            vec![T::default(); DEEP.min(b.rows) * WIDE.min(b.columns).next_multiple_of(across)];
        let mut tile = vec![T::default(); R * across];
        for top in (0..a.rows).step_by(HIGH) {
            let height = HIGH.min(a.rows - top);
            let padded = height.next_multiple_of(R);
            for deep in (0..a.columns).step_by(DEEP) {
                let end = a.columns.min(deep + DEEP);
                let packed_a = &mut packed_a[deep * padded..end * padded];
                pack_rows::<T, R>(a.part(top..top + height, deep..end), sign, packed_a);
            }
            for left in (0..b.columns).step_by(WIDE) {
                check();
                let width = WIDE.min(b.columns - left);
                for deep in (0..a.columns).step_by(DEEP) {
                    let depth = DEEP.min(a.columns - deep);
                    let packed_b = &mut packed_b[..depth * width.next_multiple_of(across)];
                    let terms = selected.range((top, left), width);
                    if deep >= terms.end || deep + depth <= terms.start {
                        continue;
                    }
                    pack_columns(b.part(deep..deep + depth, left..left + width), across, packed_b);
                    let packed_a = &packed_a[deep * padded..(deep + depth) * padded];
                    for (column, b) in (0..width).step_by(across).zip(packed_b.chunks_exact(depth * across)) {
                        for (row, a) in (0..height).step_by(R).zip(packed_a.chunks_exact(depth * R)) {
                            let terms = selected.range((top + row, left + column), across);
                            let from = terms.start.clamp(deep, deep + depth);
                            let to = terms.end.clamp(deep, deep + depth);
                            if from >= to {
                                continue;
                            }
                            let a = &a[(from - deep) * R..(to - deep) * R];
                            let b = &b[(from - deep) * across..(to - deep) * across];
                            let c = &mut c[(top + row) * step + left + column..];
                            let (rows, columns) = (R.min(height - row), across.min(width - column));
                            // A tile that extends beyond `c` is computed in a buffer. Both cases share one call of
                            // `add_tile`, because every call is inlined.
                            let is_inside = rows == R && columns == across;
                            if !is_inside {
                                for (row, tile) in tile.chunks_exact_mut(across).take(rows).enumerate() {
                                    tile[..columns].copy_from_slice(&c[row * step..][..columns]);
                                }
                            }
                            let (sums, sums_step) =
                                if is_inside { (&mut *c, step) } else { (tile.as_mut_slice(), across) };
                            add_tile::<T, L, R>(a, b, sums, sums_step);
                            if !is_inside {
                                for (row, tile) in tile.chunks_exact(across).take(rows).enumerate() {
                                    c[row * step..][..columns].copy_from_slice(&tile[..columns]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Copies `b` to `packed` in panels of `across` columns. Each panel is stored row by row. The last panel is padded with
/// zeros. Adjacent columns of `b` must be adjacent in memory.
#[inline(always)]
fn pack_columns<T: Real>(b: View<'_, T>, across: usize, packed: &mut [T]) {
    let (depth, rest) = (b.rows, b.columns % across);
    if rest > 0 {
        packed[b.columns / across * depth * across..].fill(T::default());
    }
    for row in 0..depth {
        let line = &b.data[b.place(row, 0)..][..b.columns];
        let mut at = row * across;
        let mut pieces = line.chunks_exact(across);
        for from in &mut pieces {
            packed[at..at + across].copy_from_slice(from);
            at += depth * across;
        }
        if rest > 0 {
            packed[at..at + rest].copy_from_slice(pieces.remainder());
        }
    }
}

/// Copies `sign * a` to `packed` in panels of `R` rows. Each panel is stored column by column. The last panel is padded
/// with zeros.
#[inline(always)]
fn pack_rows<T: Real, const R: usize>(a: View<'_, T>, sign: T, packed: &mut [T]) {
    let depth = a.columns;
    for (top, panel) in (0..a.rows).step_by(R).zip(packed.chunks_exact_mut(depth * R)) {
        let panel = panel.as_chunks_mut::<R>().0;
        let height = R.min(a.rows - top);
        if a.row_step == 1 && height == R {
            for (column, to) in panel.iter_mut().enumerate() {
                let from: &[T; R] = a.data[a.place(top, column)..].first_chunk().expect("R elements");
                for row in 0..R {
                    to[row] = sign * from[row];
                }
            }
        } else if a.column_step.unsigned_abs() == 1 && height == R {
            // The elements of a row are adjacent in memory, in ascending or descending order.
            let back = a.column_step < 0;
            let first = if back { depth - 1 } else { 0 };
            let lines: [&[T]; R] = std::array::from_fn(|row| &a.data[a.place(top + row, first)..][..depth]);
            for (column, to) in panel.iter_mut().enumerate() {
                let column = if back { depth - 1 - column } else { column };
                for row in 0..R {
                    to[row] = sign * lines[row][column];
                }
            }
        } else {
            for (column, to) in panel.iter_mut().enumerate() {
                for (row, to) in to.iter_mut().enumerate() {
                    *to = if row < height { sign * a.at(top + row, column) } else { T::default() };
                }
            }
        }
    }
}

/// Adds the product of two packed panels to a tile of `c`. `a` has `R` rows, and `b` is two vectors wide. The terms are
/// added in the order in which they are packed.
#[inline(always)]
fn add_tile<T: Real, L: SimdVector<T>, const R: usize>(a: &[T], b: &[T], c: &mut [T], step: usize) {
    let mut sums = [[L::splat(T::default()); 2]; R];
    for (row, sums) in sums.iter_mut().enumerate() {
        let c = &c[row * step..][..2 * L::LANES];
        *sums = [L::load(c), L::load(&c[L::LANES..])];
    }
    for (a, b) in a.as_chunks::<R>().0.iter().zip(b.chunks_exact(2 * L::LANES)) {
        let (first, second) = (L::load(b), L::load(&b[L::LANES..]));
        for row in 0..R {
            let factor = L::splat(a[row]);
            sums[row] = [factor.mul_add(first, sums[row][0]), factor.mul_add(second, sums[row][1])];
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let c = &mut c[row * step..][..2 * L::LANES];
        sums[0].store(c);
        sums[1].store(&mut c[L::LANES..]);
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
    fn every_sum_is_computed_in_ascending_order_of_k_at_every_simd_level() {
        for (rows, depth, columns) in
            [(1, 1, 1), (3, 5, 7), (8, 32, 32), (130, 300, 33), (17, 513, 65), (2, 0, 3), (400, 200, 530)]
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
                add_product(level, 1.0, view, b, Terms::All, &mut c, columns);
                assert_eq!(c, expected, "{level:?} {rows} {depth} {columns}");
                let mut c = start.clone();
                add_product(
                    level,
                    -1.0,
                    view.columns_reversed(),
                    b.rows_reversed(),
                    Terms::All,
                    &mut c,
                    columns,
                );
                assert_eq!(c, descending, "{level:?} {rows} {depth} {columns}");
            }
        }
    }

    #[test]
    fn products_without_the_omitted_terms_equal_full_products() {
        let (depth, width) = (700, 420);
        for &level in Level::available() {
            // Column j of b is zero below row 280 + j.
            let a = filled(30 * depth, 1);
            let mut b = filled(depth * width, 2);
            for (place, value) in b.iter_mut().enumerate() {
                *value = if place / width > 280 + place % width { 0.0 } else { *value };
            }
            let sums = |selected| {
                let mut c = vec![0f32; 30 * width];
                add_product(level, 1.0, View::new(&a, depth), View::new(&b, width), selected, &mut c, width);
                c
            };
            assert_eq!(sums(Terms::All), sums(Terms::Upper { offset: 280 }), "{level:?}");
            // b is lower triangular, and only the elements of c on or above the diagonal are needed.
            let mut b = filled(depth * width, 3);
            for (place, value) in b.iter_mut().enumerate() {
                *value = if place / width < place % width { 0.0 } else { *value };
            }
            let sums = |selected| {
                let mut c = vec![0f32; 50 * width];
                let b = View::new(&b, width);
                let a = b.part(0..depth, 0..50).transposed();
                add_product(level, 1.0, a, b, selected, &mut c, width);
                for (row, values) in c.chunks_exact_mut(width).enumerate() {
                    values[..row].fill(0.0);
                }
                c
            };
            assert_eq!(sums(Terms::All), sums(Terms::Gram), "{level:?}");
        }
    }
}
