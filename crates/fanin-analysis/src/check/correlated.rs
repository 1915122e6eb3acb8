//! Searches for correlated vectors among many vectors of the same length.

use fanin::linalg::column_products;

use super::structure::dot;
use crate::parallel::map;

/// A task compares each vector of one range with each vector of another range. The first range has at most this many
/// vectors.
const TOGETHER: usize = 256;

/// The second range of a task has at most this many vectors (see `TOGETHER`). The 512 KiB of scalar products of a task
/// fit into the L2 cache.
const LATER: usize = 512;

/// If the scalar product of two unit vectors is computed in f32, its rounding error is at most this.
const ROUNDING: f64 = 1e-4;

/// Two correlated vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CorrelatedPair {
    /// The index of the first vector of the pair.
    pub(super) first: usize,
    /// The index of the second vector of the pair.
    pub(super) second: usize,
    /// The correlation: the scalar product of the two vectors, divided by the product of their Euclidean norms.
    pub(super) correlation: f64,
}

/// Returns the pairs of vectors with a correlation of magnitude `limit` or more. The indices of a pair differ by at
/// most `distance`. If `limit` is positive, no pair contains a vector whose norm is 0 or not finite.
pub(super) fn correlated(vectors: &[&[f32]], distance: usize, limit: f64) -> Vec<CorrelatedPair> {
    let count = vectors.len();
    let factors = map(count, |n| reciprocal_length(vectors[n]));
    let units = transposed(vectors, &factors);
    let mut tasks = Vec::new();
    for start in (0..count).step_by(TOGETHER) {
        let end = count.min(start + TOGETHER);
        let last = count.min(end + distance);
        tasks.extend((start..last).step_by(LATER).map(|later| (start..end, later..last.min(later + LATER))));
    }
    let found = map(tasks.len(), |n| {
        let (firsts, seconds) = tasks[n].clone();
        let products = column_products(&units, count, firsts.clone(), seconds.clone());
        let mut pairs = Vec::new();
        for (first, products) in firsts.zip(products.chunks(seconds.len())) {
            for (second, product) in seconds.clone().zip(products) {
                let is_pair = second > first && second - first <= distance;
                // The comparison is false if the product is NaN.
                if f64::from(product.abs()) >= limit - ROUNDING && is_pair {
                    let unit = |n: usize| scaled(vectors[n], factors[n]);
                    let correlation = dot(&unit(first), &unit(second));
                    pairs.push(CorrelatedPair { first, second, correlation });
                }
            }
        }
        pairs
    });
    found.into_iter().flatten().filter(|pair| pair.correlation.abs() >= limit).collect()
}

/// Returns the reciprocal of the Euclidean norm of a vector, or 0 if the norm is 0 or not finite.
fn reciprocal_length(vector: &[f32]) -> f32 {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 && length.is_finite() { 1.0 / length } else { 0.0 }
}

fn scaled(vector: &[f32], factor: f32) -> Vec<f32> {
    vector.iter().map(|x| x * factor).collect()
}

/// Returns a row-major matrix whose columns are the vectors, each times its factor.
fn transposed(vectors: &[&[f32]], factors: &[f32]) -> Vec<f32> {
    /// The number of f32 values in a cache line.
    const ROWS: usize = 16;
    let (count, length) = (vectors.len(), vectors.first().map_or(0, |vector| vector.len()));
    let blocks = map(length.div_ceil(ROWS), |n| {
        let range = n * ROWS..length.min((n + 1) * ROWS);
        let mut rows = vec![0f32; range.len() * count];
        for (column, (vector, factor)) in vectors.iter().zip(factors).enumerate() {
            for (row, x) in vector[range.clone()].iter().enumerate() {
                rows[row * count + column] = x * factor;
            }
        }
        rows
    });
    blocks.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::sign;

    /// Returns vectors of pseudo-random signs. The vector at index 700 is correlated with the vectors at 3 and 650.
    fn vectors(count: usize, length: usize) -> Vec<Vec<f32>> {
        let random = |n: usize| (0..length).map(|k| sign((n * length + k) as u64) as f32).collect();
        let mut vectors: Vec<Vec<f32>> = (0..count).map(random).collect();
        let mixed = |k: usize| 0.6 * vectors[3][k] - 0.4 * vectors[650][k] + vectors[700][k];
        vectors[700] = (0..length).map(mixed).collect();
        vectors[20].fill(0.0);
        vectors[21][5] = f32::NAN;
        vectors
    }

    #[test]
    fn correlated_vectors_are_found_up_to_the_distance() {
        let vectors = vectors(900, 1000);
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let found = |distance| -> Vec<(usize, usize)> {
            let mut pairs = correlated(&slices, distance, 0.25);
            pairs.sort_by_key(|pair| (pair.first, pair.second));
            pairs.iter().map(|pair| (pair.first, pair.second)).collect()
        };
        assert_eq!(found(899), [(3, 700), (650, 700)]);
        assert_eq!(found(697), [(3, 700), (650, 700)]);
        assert_eq!(found(696), [(650, 700)]);
        assert_eq!(found(49), []);
    }

    #[test]
    fn correlations_are_scalar_products_of_unit_vectors() {
        let vectors = [vec![3.0f32, 4.0, 0.0], vec![-6.0, -8.0, 0.0], vec![0.0, 5.0, 12.0]];
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let mut found = correlated(&slices, 2, 0.0);
        found.sort_by_key(|pair| (pair.first, pair.second));
        let expected = [(0, 1, -1.0), (0, 2, 4.0 / 13.0), (1, 2, -4.0 / 13.0)];
        for (pair, (first, second, correlation)) in found.iter().zip(expected) {
            assert_eq!((pair.first, pair.second), (first, second));
            assert!((pair.correlation - correlation).abs() < 1e-6, "{pair:?}");
        }
        assert_eq!(found.len(), 3);
        assert_eq!(correlated(&[], 2, 0.0), []);
    }
}
