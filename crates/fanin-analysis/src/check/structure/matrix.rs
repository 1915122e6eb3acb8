//! Matrices of standardized values.

use crate::vectorized::vectorized;

/// Values are called light-tailed if their kurtosis is below this limit. Normal values have a kurtosis of 3. The sum of
/// the squares of a few dozen light-tailed values is hardly more often far from its mean than such a sum of normal
/// values.
pub(super) const LIGHT_TAILED: f64 = 3.3;

/// The structure of a tensor is tested only if the tensor has at least this many values.
pub(crate) const MIN_VALUES: usize = 64;

/// At most this many products are added in f32. The sums of several groups of products are added in f64.
const SHORT: usize = 4096;

/// The number of partial sums of a scalar product. Separate sums allow the compiler to vectorize the loop.
const LANES: usize = 16;

/// The standardized values of a tensor as a matrix. All axes after the first are flattened into columns.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// The shape of the tensor.
    pub(super) shape: &'a [usize],
    /// The number of rows.
    pub(super) rows: usize,
    /// The number of columns.
    pub(super) columns: usize,
    /// The skewness of the distribution of the values.
    pub(super) skewness: f64,
    /// The values in row-major order.
    pub(super) values: &'a [f32],
    /// The mean of the squared values.
    pub(super) mean_square: f64,
}

vectorized! {
    /// Returns the scalar product of two vectors. The products of each chunk of 4096 values are added in f32, and the
    /// sums of the chunks in f64.
    pub(in crate::check) fn dot(a: &[f32], b: &[f32]) -> f64 {
        inlined_dot(a, b)
    }
}

/// Like [`dot`], but always inlined, for use in functions that `vectorized!` declares.
#[inline(always)]
pub(super) fn inlined_dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.chunks(SHORT).zip(b.chunks(SHORT)) {
        let mut lanes = [0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for k in 0..LANES {
                lanes[k] += a[k] * b[k];
            }
        }
        let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
        sum += f64::from(lanes.iter().sum::<f32>() + rest);
    }
    sum
}

/// Returns the sum of the values of a vector. The values of each chunk of 4096 are added in f32, and the sums of the
/// chunks in f64. The function is always inlined, for use in functions that `vectorized!` declares.
#[inline(always)]
pub(super) fn inlined_sum(values: &[f32]) -> f64 {
    let mut sum = 0.0;
    for chunk in values.chunks(SHORT) {
        let mut lanes = [0f32; LANES];
        let (chunks, rest) = chunk.as_chunks::<LANES>();
        for chunk in chunks {
            for k in 0..LANES {
                lanes[k] += chunk[k];
            }
        }
        sum += f64::from(lanes.iter().sum::<f32>() + rest.iter().sum::<f32>());
    }
    sum
}
