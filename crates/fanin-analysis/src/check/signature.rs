//! Signatures of tensors. Tensors whose values are related have related signatures.
//!
//! A signature has two kinds of numbers.
//! - A sketch: the standardized values are divided into rows of `BUCKETS` values, and the rows are added up with random
//!   signs (the tug-of-war sketch of Alon, Matias and Szegedy 1996). If the values of two tensors have a correlation,
//!   their sketches have about the same one.
//! - The order of the first values, of the last ones, and of those of the first and the last column. Independent values
//!   are in the same order with a probability of 1 in `WINDOW` factorial. A positive factor and a change of type leave
//!   the order as it is, and a negative factor reverses it.

use super::tensor_view::TensorView;
use crate::error::Result;
use crate::signs::sign;

/// The number of values of a sketch.
pub(crate) const BUCKETS: usize = 1024;

/// The number of values whose order is compared.
const WINDOW: usize = 20;

/// A signature of a tensor.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// The row-major index of the next value.
    position: usize,
    mean: f64,
    inverse: f64,
    /// The sketch. It has fewer than `BUCKETS` values if the tensor has.
    pub(crate) sketch: Vec<f32>,
    /// Hashes of the order of the first values, the last values, the first column and the last column. `None` if there
    /// are too few values, or if values are equal.
    pub(crate) orders: [Option<Order>; 4],
}

/// The order of some values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// A hash of the order or of the reversed order, whichever is smaller.
    pub(crate) hash: u64,
    /// Whether the hash is that of the reversed order.
    pub(crate) reversed: bool,
}

impl Signature {
    /// Returns a signature without values. `position` is the row-major index of the first value that will be added.
    pub(crate) fn new(position: usize, mean: f64, std: f64) -> Self {
        Self { position, mean, inverse: 1.0 / std, sketch: Vec::new(), orders: [None; 4] }
    }

    /// Adds the next values.
    pub(crate) fn add(&mut self, mut values: &[f64]) {
        while !values.is_empty() {
            let column = self.position % BUCKETS;
            let (chunk, rest) = values.split_at(values.len().min(BUCKETS - column));
            let sign = sign((self.position / BUCKETS) as u64);
            if self.sketch.len() < column + chunk.len() {
                self.sketch.resize(column + chunk.len(), 0.0);
            }
            let factor = self.inverse * sign;
            for (sum, x) in self.sketch[column..].iter_mut().zip(chunk) {
                *sum += ((x - self.mean) * factor) as f32;
            }
            self.position += chunk.len();
            values = rest;
        }
    }

    /// Adds the signature of the values that follow.
    pub(crate) fn merge(&mut self, next: &Self) {
        if self.sketch.len() < next.sketch.len() {
            self.sketch.resize(next.sketch.len(), 0.0);
        }
        self.sketch.iter_mut().zip(&next.sketch).for_each(|(sum, x)| *sum += x);
        self.position = next.position;
    }

    /// Reads the values whose order is compared.
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
        self.orders[0] = order(&read(&view.slice(0, 0..lines))?[..WINDOW]);
        let last = read(&view.slice(0, rows - lines..rows))?;
        self.orders[1] = order(&last[last.len() - WINDOW..]);
        if let [rows, columns] = *shape
            && rows >= WINDOW
        {
            self.orders[2] = order(&read(&view.slice(0, 0..WINDOW).slice(1, 0..1))?);
            let last = view.slice(0, rows - WINDOW..rows).slice(1, columns - 1..columns);
            self.orders[3] = order(&read(&last)?);
        }
        Ok(())
    }
}

fn read(view: &TensorView<'_>) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    view.values(|values| all.extend_from_slice(values))?;
    Ok(all)
}

/// Returns a hash of the order of values. Returns `None` if a value is NaN or infinite, or if two values are equal.
fn order(values: &[f64]) -> Option<Order> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    indices.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let distinct = indices.windows(2).all(|pair| values[pair[0]] < values[pair[1]]);
    // A rising or falling sequence is computed, not random.
    let monotone = indices.is_sorted() || indices.iter().rev().is_sorted();
    if !distinct || monotone || values.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let hash = |order: &mut dyn Iterator<Item = &usize>| {
        order.fold(0u64, |hash, &index| {
            (hash ^ index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        })
    };
    let (up, down) = (hash(&mut indices.iter()), hash(&mut indices.iter().rev()));
    Some(Order { hash: up.min(down), reversed: down < up })
}
