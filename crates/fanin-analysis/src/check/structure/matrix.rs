//! Matrices of standardized values.

use crate::vectorized::vectorized;

/// Values with a kurtosis below this limit are called light-tailed. Normal values have a kurtosis of 3. A sum of a few
/// dozen squared light-tailed values has at most slightly heavier tails than a sum of squared normal values.
pub(super) const LIGHT_TAILED: f64 = 3.3;

/// The structure of a tensor is tested only if the tensor has at least this many values.
pub(crate) const MIN_VALUES: usize = 64;

/// The number of values in a chunk of a long sum. The values of each chunk are added in f32. The sums of the chunks are
/// then added in f64.
pub(super) const SHORT: usize = 4096;

/// The number of partial sums in a group. Separate sums allow the compiler to vectorize the loop.
pub(super) const LANES: usize = 16;

/// The bits of a standardized value, rounded to bf16 to save memory.
///
/// Rounding changes a value by at most 0.4 %. If the values are independent, so are the changes. Sums over many values
/// then hardly change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounded(u16);

impl Rounded {
    /// Rounds a value. A tie is rounded to the value with an even last bit. NaN may become any value.
    #[inline(always)]
    pub(super) fn new(x: f32) -> Self {
        let bits = x.to_bits();
        Self((bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }

    /// Returns the rounded value.
    #[inline(always)]
    pub(super) fn value(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// The standardized values of a tensor, or of a range of its rows, as a matrix. All axes after the first are flattened
/// into columns.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    /// The shape of the tensor or of the range of rows.
    pub(super) shape: &'a [usize],
    /// The number of rows.
    pub(super) rows: usize,
    /// The number of columns.
    pub(super) columns: usize,
    /// The skewness of the distribution of the values.
    pub(super) skewness: f64,
    /// The rounded values in row-major order. Empty if no test needs them.
    pub(super) rounded: &'a [Rounded],
    /// The mean of the squares of the unrounded values.
    pub(super) mean_square: f64,
}

vectorized! {
    /// Returns the scalar product of two vectors. Chunks of at most 4096 products are added in f32, and the sums of
    /// the chunks in f64.
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

/// Returns the scalar product of a row of rounded values and a vector. All products are added in f32.
#[inline(always)]
pub(super) fn rounded_dot(row: &[Rounded], vector: &[f32]) -> f32 {
    // With two groups of partial sums, an addition need not wait for the previous one. Each group is a separate
    // variable, so that the compiler keeps it in registers.
    let (mut first, mut second) = ([0f32; LANES], [0f32; LANES]);
    let ((a, a_rest), (b, b_rest)) = (row.as_chunks::<LANES>(), vector.as_chunks::<LANES>());
    let ((pairs, last), (b_pairs, b_last)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    for ([a, a_next], [b, b_next]) in pairs.iter().zip(b_pairs) {
        for k in 0..LANES {
            first[k] += a[k].value() * b[k];
        }
        for k in 0..LANES {
            second[k] += a_next[k].value() * b_next[k];
        }
    }
    for (a, b) in last.iter().zip(b_last) {
        for k in 0..LANES {
            first[k] += a[k].value() * b[k];
        }
    }
    for k in 0..LANES {
        first[k] += second[k];
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x.value() * y).sum();
    first.iter().sum::<f32>() + rest
}

/// Like [`inlined_dot`], but returns the sum of the values of one vector.
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
