//! Computes signatures of tensors. Tensors with related values, such as x and -2 x, have related signatures.
//!
//! A signature has two parts.
//! - The sketch: a sum of vectors. Each vector consists of `BUCKETS` consecutive standardized values of the tensor,
//!   multiplied by a pseudo-random sign (the tug-of-war sketch of Alon, Matias and Szegedy 1996). The correlation of
//!   two sketches is approximately equal to the correlation of the values.
//! - The sort orders of four groups of 20 values: the first 20 values of the tensor, the last 20, the first 20 of the
//!   first column, and the last 20 of the last column. A sort order is the list of indices that sorts the values
//!   (NumPy's `argsort`). The sort orders of independent values are equal with a probability of 1 / 20!. A positive
//!   factor or a conversion to another type keeps the sort order. A negative factor reverses it.

use super::tensor_view::TensorView;
use crate::error::Result;
use crate::signs::{GOLDEN_RATIO, sign};
use crate::vectorized::vectorized;

/// The number of values of a sketch.
pub(crate) const BUCKETS: usize = 1024;

/// The number of values whose sort order is compared.
const WINDOW: usize = 20;

/// A signature of a tensor.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// The row-major index of the next value.
    position: usize,
    /// The mean that is subtracted from the values.
    mean: f64,
    /// The reciprocal of the standard deviation, by which the values are multiplied.
    inverse: f64,
    /// Sums of standardized values with pseudo-random signs. The number of sums is `BUCKETS`, or the number of values
    /// if this is smaller.
    pub(crate) sketch: Vec<f32>,
    /// The sort orders of four groups of `WINDOW` values. The groups are the first and the last values of the tensor,
    /// the first values of the first column, and the last values of the last column. An element is `None` if its group
    /// would have fewer than `WINDOW` values, or if [`order`] returns `None`. The two elements for columns are also
    /// `None` unless the tensor has two axes.
    pub(crate) orders: [Option<Order>; 4],
}

/// The sort order of a few values, as a hash of the indices that sort the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// The smaller of two hashes: of the list of indices that sorts the values in ascending order, and of the list that
    /// sorts the values in descending order. A tensor and its negative therefore have the same hash.
    pub(crate) hash: u64,
    /// Whether the field `hash` is the hash of the list of indices that sorts the values in descending order.
    pub(crate) reversed: bool,
}

vectorized! {
    /// Subtracts `mean` from each value and multiplies the result by `factor`. Adds the result for value n to
    /// `sums[n]`.
    fn add_standardized(sums: &mut [f32], values: &[f64], mean: f64, factor: f64) {
        for (sum, x) in sums.iter_mut().zip(values) {
            *sum += ((x - mean) * factor) as f32;
        }
    }
}

impl Signature {
    /// Creates a signature without values. `position` is the row-major index of the first value that will be added.
    /// `mean` and `std` standardize the values.
    pub(crate) fn new(position: usize, mean: f64, std: f64) -> Self {
        Self { position, mean, inverse: 1.0 / std, sketch: Vec::new(), orders: [None; 4] }
    }

    /// Adds the next values to the sketch, in row-major order.
    pub(crate) fn add(&mut self, mut values: &[f64]) {
        while !values.is_empty() {
            let column = self.position % BUCKETS;
            let (chunk, rest) = values.split_at(values.len().min(BUCKETS - column));
            let sign = sign((self.position / BUCKETS) as u64);
            if self.sketch.len() < column + chunk.len() {
                self.sketch.resize(column + chunk.len(), 0.0);
            }
            add_standardized(&mut self.sketch[column..], chunk, self.mean, self.inverse * sign);
            self.position += chunk.len();
            values = rest;
        }
    }

    /// Adds the sketch of `next`. In the tensor, the values of `next` follow the values of `self`.
    pub(crate) fn merge(&mut self, next: &Self) {
        if self.sketch.len() < next.sketch.len() {
            self.sketch.resize(next.sketch.len(), 0.0);
        }
        self.sketch.iter_mut().zip(&next.sketch).for_each(|(sum, x)| *sum += x);
        self.position = next.position;
    }

    /// Computes [`orders`](Self::orders) from a few values of `view`, which are read again.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn finish(&mut self, view: &TensorView<'_>) -> Result {
        let shape = view.shape();
        if shape.iter().product::<usize>() < WINDOW {
            return Ok(());
        }
        let rows = shape[0];
        let width: usize = shape[1..].iter().product();
        let lines = WINDOW.div_ceil(width);
        self.orders[0] = order(&view.first_values(WINDOW)?);
        let last = view.slice(0, rows - lines..rows).all_values()?;
        self.orders[1] = order(&last[last.len() - WINDOW..]);
        if let [rows, columns] = *shape
            && rows >= WINDOW
        {
            self.orders[2] = order(&view.slice(0, 0..WINDOW).slice(1, 0..1).all_values()?);
            let last = view.slice(0, rows - WINDOW..rows).slice(1, columns - 1..columns);
            self.orders[3] = order(&last.all_values()?);
        }
        Ok(())
    }
}

/// Returns the sort order of `values`. Returns `None` if a value is NaN or infinite, if two values are equal, or if the
/// values are sorted in ascending or descending order.
fn order(values: &[f64]) -> Option<Order> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    indices.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let distinct = indices.windows(2).all(|pair| values[pair[0]] < values[pair[1]]);
    // A rising or falling sequence follows a formula and is not random.
    let monotone = indices.is_sorted() || indices.iter().rev().is_sorted();
    if !distinct || monotone || values.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let hash = |order: &mut dyn Iterator<Item = &usize>| {
        order.fold(0u64, |hash, &index| (hash ^ index as u64).wrapping_mul(GOLDEN_RATIO).rotate_left(23))
    };
    let (up, down) = (hash(&mut indices.iter()), hash(&mut indices.iter().rev()));
    Some(Order { hash: up.min(down), reversed: down < up })
}
