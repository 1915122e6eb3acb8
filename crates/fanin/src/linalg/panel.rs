//! Factors one panel of columns by Householder reflections, and applies the reflections to other matrices. The
//! documentation of [`super::qr`] defines the matrices V, S and C.

use super::product::{Terms, View, add_product};
use super::real::Real;
use super::transpose::transpose;
use crate::cancel::check;
use crate::simd::{Kernel, Level, SimdIsa, dispatch};

/// The QR factorization of a panel, except the matrix V. [`factor`] writes V to the memory of the panel.
pub(super) struct Reflector<T> {
    /// The matrix `S = striu(V^T V) + diag(halves)` (see [`super::qr`]), row-major. The elements below the diagonal are
    /// unspecified.
    s: Vec<T>,
    /// The value `h_j = |v_j|^2 / 2` of each reflection, or 1 if v_j is zero.
    pub(super) halves: Vec<T>,
    /// The diagonal of R.
    pub(super) diagonal: Vec<T>,
    /// The upper triangular factor R of the panel, row-major, without its diagonal. The field `diagonal` contains the
    /// diagonal.
    pub(super) corner: Vec<T>,
}

/// The number of columns that are factored one by one. One block reflector then updates the later columns of the panel.
const LEAF: usize = 32;

/// Computes the QR factorization of a row-major panel with `across` columns. Overwrites `panel` with the matrix V,
/// whose columns are the vectors of the reflections. V is zero above the diagonal.
pub(super) fn factor<T: Real>(panel: &mut [T], across: usize, level: Level) -> Reflector<T> {
    let rows = panel.len() / across;
    let (mut halves, mut diagonal) = (vec![T::ONE; across], vec![T::default(); across]);
    let mut corner = vec![T::default(); across * across];
    let mut columns = vec![T::default(); panel.len()];
    transpose(panel, across, &mut columns, rows);
    for left in (0..across).step_by(LEAF) {
        check();
        let right = across.min(left + LEAF);
        let width = right - left;
        let (leaf, later) = columns[left * rows..].split_at_mut(width * rows);
        let (h, r) = (&mut halves[left..right], &mut diagonal[left..right]);
        dispatch(level, Leaf { columns: leaf, rows, top: left, halves: h, diagonal: r });
        for (column, values) in (left..right).zip(leaf.chunks_exact_mut(rows)) {
            for (row, value) in values[..column].iter_mut().enumerate() {
                corner[row * across + column] = std::mem::take(value);
            }
        }
        transpose(leaf, rows, &mut panel[left..], across);
        if later.is_empty() {
            break;
        }
        let vectors = View::new(panel, across).part(left..rows, left..right);
        let s = gram(vectors, &halves[left..right], level);
        let vectors = [vectors, View::new(leaf, rows).part(0..width, left..rows)];
        let count = later.len() / rows;
        reflect_rows(vectors, &s, &mut later[left..], rows, count, level);
    }
    let s = gram(View::new(panel, across), &halves, level);
    Reflector { s, halves, diagonal, corner }
}

/// Returns `S = striu(V^T V) + diag(halves)` (see [`super::qr`]), row-major. `vectors` is V. The elements below the
/// diagonal are unspecified.
fn gram<T: Real>(vectors: View<'_, T>, halves: &[T], level: Level) -> Vec<T> {
    let width = halves.len();
    let mut s = vec![T::default(); width * width];
    add_product(level, T::ONE, vectors.transposed(), vectors, Terms::Gram, &mut s, width);
    for (k, half) in halves.iter().enumerate() {
        s[k * width + k] = *half;
    }
    s
}

/// Applies the reflections, in ascending order, to each row of a matrix M: `M := M - Y V^T`, where Y is the solution of
/// `Y S = M V`. [`super::qr`] defines V and S. The first argument contains V and its transpose. `s` is S, row-major.
/// `matrix` contains M: `count` rows, which begin `step` elements apart.
fn reflect_rows<T: Real>(
    [vectors, across]: [View<'_, T>; 2],
    s: &[T],
    matrix: &mut [T],
    step: usize,
    count: usize,
    level: Level,
) {
    let [length, width] = vectors.size();
    let mut y = vec![T::default(); count * width];
    let these = View::with_step(matrix, [count, length], step);
    add_product(level, T::ONE, these, vectors, Terms::All, &mut y, width);
    dispatch(level, Rows { s, y: &mut y, width });
    add_product(level, -T::ONE, View::new(&y, width), across, Terms::All, matrix, step);
}

impl<T: Real> Reflector<T> {
    /// Applies the reflections, in ascending order, to each row of `matrix`. The matrix has `count` rows, which begin
    /// `step` elements apart. `vectors` contains V and its transpose.
    pub(super) fn apply_right(
        &self,
        vectors: [View<'_, T>; 2],
        matrix: &mut [T],
        step: usize,
        count: usize,
        level: Level,
    ) {
        reflect_rows(vectors, &self.s, matrix, step, count, level);
    }

    /// Applies the reflections, in ascending order, to each column of `matrix`. The matrix has `across` columns, and
    /// its rows begin `step` elements apart. `vectors` is V.
    pub(super) fn apply(
        &self,
        vectors: View<'_, T>,
        matrix: &mut [T],
        step: usize,
        across: usize,
        level: Level,
    ) {
        const FEW: usize = 16;
        let width = self.halves.len();
        let mut y = vec![T::default(); width * across];
        let these = View::with_step(matrix, [vectors.size()[0], across], step);
        add_product(level, T::ONE, vectors.transposed(), these, Terms::All, &mut y, across);
        // Solves `S^T Y = V^T C` in groups of `FEW` rows.
        let s = View::new(&self.s, width);
        for top in (0..width).step_by(FEW) {
            let bottom = width.min(top + FEW);
            let (solved, later) = y[top * across..].split_at_mut((bottom - top) * across);
            dispatch(level, Few { s: s.part(top..bottom, top..bottom), y: solved, across });
            if !later.is_empty() {
                let factors = s.part(top..bottom, bottom..width).transposed();
                add_product(level, -T::ONE, factors, View::new(solved, across), Terms::All, later, across);
            }
        }
        add_product(level, -T::ONE, vectors, View::new(&y, across), Terms::All, matrix, step);
    }
}

/// Solves some rows of `S^T Y = V^T C` (see [`super::qr`]) by forward substitution. `s` is the diagonal block of S for
/// these rows. At first, `y` is the right-hand side minus the terms of all earlier rows. The solution then overwrites
/// `y`.
struct Few<'a, T> {
    s: View<'a, T>,
    y: &'a mut [T],
    across: usize,
}

impl<T: Real> Kernel for Few<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { s, y, across } = self;
        for row in 0..y.len() / across {
            let (before, these) = y.split_at_mut(row * across);
            let these = &mut these[..across];
            for (k, before) in before.chunks_exact(across).enumerate() {
                let minus = -s.at(k, row);
                for (value, other) in these.iter_mut().zip(before) {
                    *value = minus.mul_add(*other, *value);
                }
            }
            let divisor = s.at(row, row);
            these.iter_mut().for_each(|value| *value = *value / divisor);
        }
    }
}

/// Solves the triangular system `x S = c` for each row c of the matrix `y`. `s` is the upper triangular matrix S (see
/// [`super::qr`]), row-major. The solution x overwrites c. `y` has `width` columns.
struct Rows<'a, T> {
    s: &'a [T],
    y: &'a mut [T],
    width: usize,
}

impl<T: Real> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { s, y, width } = self;
        for y in y.chunks_exact_mut(width) {
            for (k, s) in s.chunks_exact(width).enumerate() {
                y[k] = y[k] / s[k];
                let minus = -y[k];
                for (value, s) in y[k + 1..].iter_mut().zip(&s[k + 1..]) {
                    *value = minus.mul_add(*s, *value);
                }
            }
        }
    }
}

/// Factors the columns of a column-major matrix one by one. Each column has `rows` elements. Row `top` contains the
/// diagonal element of the first column.
struct Leaf<'a, T> {
    columns: &'a mut [T],
    rows: usize,
    top: usize,
    halves: &'a mut [T],
    diagonal: &'a mut [T],
}

impl<T: Real> Kernel for Leaf<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: SimdIsa>(self) {
        let Self { columns, rows, top, halves, diagonal } = self;
        for (j, (half, diagonal)) in halves.iter_mut().zip(diagonal).enumerate() {
            let (these, later) = columns[j * rows..].split_at_mut(rows);
            let x = &mut these[top + j..];
            let Some(reflection) = reflection(x) else { continue };
            (*half, *diagonal) = reflection;
            let mut fours = later.chunks_exact_mut(4 * rows);
            for four in &mut fours {
                let mut columns = four.chunks_exact_mut(rows).map(|column| &mut column[top + j..]);
                reflect(x, *half, std::array::from_fn::<_, 4, _>(|_| columns.next().expect("four columns")));
            }
            for column in fours.into_remainder().chunks_exact_mut(rows) {
                reflect(x, *half, [&mut column[top + j..]]);
            }
        }
    }
}

/// Computes the reflection that maps `x` to `factor * e`, where e is the first unit vector. Overwrites `x` with the
/// vector v of the reflection. Returns `|v|^2 / 2` and `factor`.
///
/// Returns `None` and sets `x` to zero if the sum of squares of `x` is less than `Real::TINY`.
#[inline(always)]
pub(super) fn reflection<T: Real>(x: &mut [T]) -> Option<(T, T)> {
    let [square] = products(x, [x]);
    if square < T::TINY {
        x.fill(T::default());
        return None;
    }
    let norm = square.root();
    let negative = x[0] < T::default();
    let magnitude = if negative { -x[0] } else { x[0] };
    x[0] = if negative { x[0] - norm } else { x[0] + norm };
    Some((norm * (norm + magnitude), if negative { norm } else { -norm }))
}

/// Applies the reflection with the vector `v` and `half = |v|^2 / 2` to each of `columns`.
#[inline(always)]
pub(super) fn reflect<T: Real, const N: usize>(v: &[T], half: T, mut columns: [&mut [T]; N]) {
    let along: [T; N] = products(v, std::array::from_fn(|k| &*columns[k]));
    for (column, product) in columns.iter_mut().zip(along) {
        let minus = -(product / half);
        for (value, v) in column.iter_mut().zip(v) {
            *value = minus.mul_add(*v, *value);
        }
    }
}

/// The number of independent partial sums of a scalar product. The CPU can compute them in parallel.
const LANES: usize = 32;

/// Returns the scalar product of `x` with the first `x.len()` elements of each slice in `others`.
#[inline(always)]
fn products<T: Real, const N: usize>(x: &[T], others: [&[T]; N]) -> [T; N] {
    let mut sums = [[T::default(); LANES]; N];
    let (whole, rest) = x.as_chunks::<LANES>();
    let others = others.map(|other| other[..x.len()].as_chunks::<LANES>());
    for (at, x) in whole.iter().enumerate() {
        for k in 0..N {
            let other = &others[k].0[at];
            for lane in 0..LANES {
                sums[k][lane] = x[lane].mul_add(other[lane], sums[k][lane]);
            }
        }
    }
    std::array::from_fn(|k| {
        let sums = &mut sums[k];
        for (sum, (x, other)) in sums.iter_mut().zip(rest.iter().zip(others[k].1)) {
            *sum = x.mul_add(*other, *sum);
        }
        let mut count = LANES;
        while count > 1 {
            count /= 2;
            for lane in 0..count {
                sums[lane] = sums[lane] + sums[lane + count];
            }
        }
        sums[0]
    })
}
