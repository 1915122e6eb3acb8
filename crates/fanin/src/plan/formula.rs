//! Distributions without random numbers, whose values are computed from the index by a formula.

use super::distribution::Distribution;
use super::types::Plan;

impl Plan {
    /// Returns a function from the row-major index of an element to its value. Returns `None` unless the distribution
    /// is `Hadamard`, `RepeatedEye`, `Arange`, or `Mapped` with an `Arange` or `Constant` plan as argument.
    pub(crate) fn formula(&self) -> Option<impl Fn(u64) -> f64 + use<>> {
        let (functions, plan) = match self.distribution {
            Distribution::Mapped { functions } => (Some(functions), self.argument()?),
            _ => (None, self),
        };
        let distribution = plan.distribution;
        let columns = plan.matrix().1.max(1) as u64;
        let length = plan.shape.last().copied().unwrap_or(1).max(1) as u64;
        let known = match distribution {
            Distribution::Hadamard { .. }
            | Distribution::RepeatedEye { .. }
            | Distribution::Arange { .. } => true,
            Distribution::Constant { .. } => functions.is_some(),
            _ => false,
        };
        known.then_some(move |index: u64| {
            let (row, column) = (index / columns, index % columns);
            let value = match distribution {
                Distribution::Hadamard { scale } if (row & column).count_ones() % 2 == 1 => -scale,
                Distribution::Hadamard { scale } => scale,
                Distribution::RepeatedEye { value } if row % columns == column => value,
                Distribution::Arange { start, step } => start + step * (index % length) as f64,
                Distribution::Constant { value } => value,
                _ => 0.0,
            };
            functions.map_or(value, |functions| functions.apply(value))
        })
    }

    /// Returns the indices of the elements equal to 1 in the region `start..start + size`, for `eye` and `dirac`. Each
    /// index refers to the whole tensor. Returns no index for any other distribution.
    ///
    /// The running time depends only on the size of the region.
    pub(crate) fn ones_in(
        &self,
        start: &[usize],
        size: &[usize],
    ) -> impl Iterator<Item = Vec<usize>> + use<> {
        let end: Vec<usize> = start.iter().zip(size).map(|(start, size)| start + size).collect();
        let centre: Vec<usize> = self.shape.iter().skip(2).map(|size| size / 2).collect();
        let outside = |(axis, index): (usize, &usize)| !(start[axis]..end[axis]).contains(index);
        // Each group of output channels has a diagonal of ones. The diagonal begins at the first row of the group and
        // at column 0.
        let groups = match self.distribution {
            Distribution::Eye => 1,
            Distribution::Dirac { groups } => groups,
            _ => 0,
        };
        let none = groups == 0 || size.contains(&0) || (2..).zip(&centre).any(outside);
        let (top, bottom, left, right, channels) =
            if none { (0, 0, 0, 0, 1) } else { (start[0], end[0], start[1], end[1], self.shape[0] / groups) };
        (top / channels..bottom.div_ceil(channels)).flat_map(move |group| {
            let first = group * channels;
            let from = left.max(top.saturating_sub(first));
            let to = right.min(channels).min(bottom - first);
            let centre = centre.clone();
            (from..to).map(move |channel| [&[first + channel, channel][..], &centre].concat())
        })
    }

    /// Returns the mean over all elements of a Hadamard matrix or a repeated identity matrix. Returns 0 for any other
    /// distribution.
    pub(super) fn mean_of_formula(&self) -> f64 {
        let (rows, columns) = self.matrix();
        match self.distribution {
            Distribution::Hadamard { scale } => {
                let side = rows.max(columns).next_power_of_two();
                scale * sum_of_signs(rows, columns, side) as f64 / self.len().max(1) as f64
            }
            Distribution::RepeatedEye { value } => value / columns.max(1) as f64,
            _ => 0.0,
        }
    }
}

/// Returns the sum of the signs in the first `rows` rows and `columns` columns of the Hadamard matrix of order `side`.
/// `side` must be a power of two.
///
/// In the full matrix, the first row and the first column sum to `side`, and all others sum to 0. Each quadrant is the
/// Hadamard matrix of order `side / 2`, with reversed signs in the lower right quadrant.
fn sum_of_signs(rows: usize, columns: usize, side: usize) -> i64 {
    if rows == 0 || columns == 0 {
        return 0;
    }
    if rows == side || columns == side {
        return side as i64;
    }
    let half = side / 2;
    let (top, left) = (rows.min(half), columns.min(half));
    let (bottom, right) = (rows - top, columns - left);
    sum_of_signs(top, left, half) + sum_of_signs(top, right, half) + sum_of_signs(bottom, left, half)
        - sum_of_signs(bottom, right, half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn the_ones_of_a_region_are_the_ones_of_the_whole_tensor_inside_the_region() {
        let distributions = [1, 2, 6].map(|groups| Distribution::Dirac { groups });
        let cases = [(&[5, 7][..], Distribution::Eye), (&[7, 4], Distribution::Eye)].into_iter();
        let shapes = [&[12, 5, 3][..], &[12, 2, 2, 3], &[6, 9, 1]];
        for (shape, distribution) in cases.chain(
            shapes.into_iter().flat_map(|shape| distributions.map(|distribution| (shape, distribution))),
        ) {
            let plan = Plan::new(shape, DType::F32, distribution).unwrap();
            let channels =
                if let Distribution::Dirac { groups } = distribution { shape[0] / groups } else { shape[0] };
            let whole = vec![0; shape.len()];
            let all: Vec<_> = plan.ones_in(&whole, shape).collect();
            let expected: Vec<_> = (0..shape[0])
                .filter(|row| row % channels < shape[1])
                .map(|row| {
                    [row, row % channels].into_iter().chain(shape[2..].iter().map(|size| size / 2)).collect()
                })
                .collect::<Vec<Vec<usize>>>();
            assert_eq!(all, expected, "{shape:?} {distribution:?}");
            // The test covers every range of rows and every range of columns. The region begins at index 0 or 1 of the
            // last kernel axis.
            for (top, height) in
                (0..shape[0]).flat_map(|top| (0..=shape[0] - top).map(move |height| (top, height)))
            {
                for (left, width) in
                    (0..shape[1]).flat_map(|left| (0..=shape[1] - left).map(move |width| (left, width)))
                {
                    for last in [0, 1] {
                        let mut start = whole.clone();
                        let mut size = shape.to_vec();
                        if let [_, _, .., axis] = shape {
                            let axis = if shape.len() > 2 { *axis } else { 0 };
                            if axis > last {
                                *start.last_mut().unwrap() = last;
                                *size.last_mut().unwrap() = axis - last;
                            }
                        }
                        (start[0], size[0], start[1], size[1]) = (top, height, left, width);
                        let inside = |one: &&Vec<usize>| {
                            (0..shape.len()).all(|k| (start[k]..start[k] + size[k]).contains(&one[k]))
                        };
                        let found: Vec<_> = plan.ones_in(&start, &size).collect();
                        let expected: Vec<_> = all.iter().filter(inside).cloned().collect();
                        assert_eq!(found, expected, "{shape:?} {distribution:?} {start:?} {size:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_mean_of_a_hadamard_matrix_is_the_mean_of_its_signs() {
        for (rows, columns) in [(1, 1), (2, 2), (3, 2), (7, 5), (8, 3), (13, 13), (33, 20), (5, 64)] {
            let plan =
                Plan::new(&[rows, columns], DType::F32, Distribution::Hadamard { scale: 1.0 }).unwrap();
            let value = plan.formula().unwrap();
            let sum: f64 = (0..(rows * columns) as u64).map(value).sum();
            assert_eq!(plan.mean(), sum / (rows * columns) as f64, "{rows} {columns}");
        }
    }
}
