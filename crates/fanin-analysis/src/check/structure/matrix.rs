//! The standardized values of a tensor as a matrix.

/// The kurtosis below which sums of a few dozen squares are distributed as those of normal values, or more narrowly.
pub(super) const LIGHT_TAILED: f64 = 3.3;

/// Standardized values as a matrix. Axes from the second are flattened into columns.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    pub(super) shape: &'a [usize],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The skewness of the distribution of the values.
    pub(super) skewness: f64,
    pub(super) values: &'a [f32],
}

impl Matrix<'_> {
    /// Returns the mean of the squared values.
    pub(super) fn mean_square(&self) -> f64 {
        dot(self.values, self.values) / self.values.len() as f64
    }
}

/// Returns the scalar product of two vectors. Partial sums in f32 are short.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sum = 0.0;
    for (a, b) in a.chunks(4096).zip(b.chunks(4096)) {
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
