//! QR factorization, by faer. Its bits vary with CPU and threads, so it serves the torch stream only, where the
//! promise is agreement to rounding.

use faer::MatRef;
use faer::traits::ComplexField;

use super::Real;
use super::tiles::for_each_in_tiles;

/// The orthogonal matrix that torch makes of a Gaussian one: of the matrix, or of its transpose if that is tall, the
/// thin Q of its QR factorization, each column times the sign of R's diagonal entry; transposed back. Row-major.
///
/// sign(0) is 0, as in torch: a column of zeros stays one.
pub(crate) fn haar<T: Real + ComplexField>(gaussian: Vec<T>, rows: usize, columns: usize) -> Vec<T> {
    let matrix = MatRef::from_row_major_slice(&gaussian, rows, columns);
    let tall = if rows < columns { matrix.transpose() } else { matrix };
    let factored = tall.qr();
    let (q, r) = (factored.compute_thin_Q(), factored.thin_R());
    let sign = |k: usize| {
        let diagonal = r[(k, k)];
        if diagonal > T::default() {
            T::ONE
        } else if diagonal < T::default() {
            -T::ONE
        } else {
            T::default()
        }
    };
    let signs: Vec<T> = (0..tall.ncols()).map(sign).collect();
    let mut out = vec![T::default(); rows * columns];
    // Q is column-major.
    for_each_in_tiles(tall.nrows(), tall.ncols(), |row, column| {
        let offset = if rows < columns { column * columns + row } else { row * columns + column };
        out[offset] = q[(row, column)] * signs[column];
    });
    out
}
