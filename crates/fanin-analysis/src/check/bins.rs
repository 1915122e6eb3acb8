//! Bins in which values are counted, to compute the Kolmogorov-Smirnov distance of the values from a distribution.

use std::sync::LazyLock;

use fanin::DType;

use super::distribution::Univariate;
use super::grid;
use super::standard_normal::{Point, quantile};
use crate::vectorized::vectorized;

/// The number of bins.
pub(crate) const COUNT: usize = 512;

/// Bins of equal width. The first bin also contains all smaller values, and the last bin all larger values.
#[derive(Debug, Clone)]
pub(crate) struct Bins {
    /// The centre of the first bin.
    first: f64,
    /// The reciprocal of the width of a bin.
    per_unit: f64,
    /// Some of the edges between adjacent bins, in ascending order.
    edges: Vec<Edge>,
}

/// An edge between two bins.
#[derive(Debug, Clone, Copy)]
struct Edge {
    /// The index of the bin above the edge.
    bin: usize,
    /// The position of the edge. In a coarse dtype, the edge is half-way between two adjacent values.
    position: f64,
    /// The probability that a finite value is below the edge.
    probability: f64,
}

/// Returns the index of the bin that contains `x`, which must be finite. If `x` increases, the index never decreases,
/// even with rounding errors.
#[inline(always)]
fn index(x: f64, first: f64, per_unit: f64) -> usize {
    // If 2^52 is added to a number between 0 and 2^52, the number is rounded to an integer, which is then in the low
    // bits of the sum. This is faster than `as u32`, which also handles negative numbers and NaN.
    const SHIFT: f64 = (1u64 << 52) as f64;
    const LAST: f64 = (COUNT - 1) as f64;
    let position = (x - first) * per_unit;
    let position = if position > 0.0 { position } else { 0.0 };
    let position = if position < LAST { position } else { LAST };
    (position + SHIFT).to_bits() as usize % COUNT
}

vectorized! {
    /// Computes the index of the bin of each value.
    fn indices_of(values: &[f64], first: f64, per_unit: f64, indices: &mut [u16]) {
        for (found, x) in indices.iter_mut().zip(values) {
            *found = index(*x, first, per_unit) as u16;
        }
    }
}

/// Returns the z-scores of the `COUNT` - 1 edges between the bins of a normal distribution.
fn normal_edges() -> &'static [Point] {
    static EDGES: LazyLock<Vec<Point>> = LazyLock::new(|| {
        let outermost = quantile(1.0 - 1.0 / COUNT as f64, 1.0 / COUNT as f64);
        let z = |edge: usize| outermost * (2.0 * edge as f64 / (COUNT - 2) as f64 - 1.0);
        (0..COUNT - 1).map(|edge| Point::new(z(edge))).collect()
    });
    &EDGES
}

impl Bins {
    /// Returns the bins for values that are drawn from a distribution and rounded to `dtype`. The edges range from
    /// about the quantile 1 / `COUNT` to about the quantile 1 - 1 / `COUNT`.
    pub(crate) fn new(distribution: &Univariate, dtype: DType) -> Self {
        let (least, finite) =
            (distribution.cdf(-grid::overflow(dtype)), distribution.finite_probability(dtype));
        let quantile = |probability: f64| {
            let x = distribution.quantile(least + probability * finite);
            dtype.round(x).clamp(-dtype.largest(), dtype.largest())
        };
        let tail = 1.0 / COUNT as f64;
        let (low, high) = (quantile(tail), quantile(1.0 - tail));
        // A coarse dtype may round both quantiles to the same value.
        let (low, high) = (grid::neighbours(dtype, low).0, grid::neighbours(dtype, high).1);
        let per_unit = (COUNT - 2) as f64 / (high - low);
        let mut bins = Self { first: low - 0.5 / per_unit, per_unit, edges: Vec::with_capacity(COUNT - 1) };
        let normal = distribution.fine_normal(dtype);
        let (lowest, highest) = distribution.bounds();
        for bin in 1..COUNT {
            let Some((below, position, above)) = bins.edge_below(bin, dtype) else { continue };
            // Both values next to an edge must be within the bounds. Otherwise, the probability below the edge depends
            // on the sampler. For example, torch replaces a uniform value by the lower bound if it is rounded to the
            // upper bound.
            let is_inside = below >= lowest && above <= highest;
            if is_inside && bins.edges.last().is_none_or(|last| position > last.position) {
                let probability = match normal {
                    Some((mean, std)) => normal_edges()[bin - 1].probability_below((position - mean) / std),
                    None => (distribution.cdf(position) - least) / finite,
                };
                bins.edges.push(Edge { bin, position, probability });
            }
        }
        bins
    }

    /// Returns the lower edge of a bin: a value of `dtype` just below the edge, the position of the edge, and a value
    /// just above it. Returns `None` if one of the two values is not finite.
    fn edge_below(&self, bin: usize, dtype: DType) -> Option<(f64, f64, f64)> {
        let boundary = self.first + (bin as f64 - 0.5) / self.per_unit;
        let is_finite = |x: f64| x.abs() <= dtype.largest();
        let mut above = dtype.round(boundary);
        if !is_finite(above) {
            return None;
        }
        // If adjacent values are much closer together than the edges, the boundary is precise enough.
        let (previous, next) = grid::neighbours(dtype, above);
        if (next - previous) * self.per_unit < 1e-4 {
            return Some((previous, boundary, next));
        }
        while is_finite(above) && self.index(above) < bin {
            above = grid::neighbours(dtype, above).1;
        }
        while is_finite(above) {
            let below = grid::neighbours(dtype, above).0;
            if self.index(below) < bin {
                return is_finite(below).then(|| (below, grid::rounding_interval(dtype, above).0, above));
            }
            above = below;
        }
        None
    }

    /// Returns the index of the bin that contains `x`, which must be finite.
    pub(crate) fn index(&self, x: f64) -> usize {
        index(x, self.first, self.per_unit)
    }

    /// Counts the values in each bin, and adds the counts to `counts`. The values must be finite.
    pub(crate) fn count(&self, values: &[f64], counts: &mut [u64]) {
        const BLOCK: usize = 512;
        let counts: &mut [u64; COUNT] = counts.try_into().expect("there is a count for each bin");
        let mut indices = [0; BLOCK];
        for values in values.chunks(BLOCK) {
            let indices = &mut indices[..values.len()];
            indices_of(values, self.first, self.per_unit, indices);
            // The counts are incremented in a separate loop. The CPU then knows early which counts are written, and
            // need not wait before it reads the next count.
            for index in indices {
                counts[usize::from(*index) % COUNT] += 1;
            }
        }
    }

    /// Returns the largest difference between the fraction of values below an edge and the probability that a value is
    /// below it, and the position of this edge. `counts` contains the counts of the bins, and `total` is their sum.
    pub(crate) fn largest_difference(&self, counts: &[u64], total: u64) -> (f64, f64) {
        let (mut below, mut next, mut largest) = (0, 0, (0.0, f64::NAN));
        for edge in &self.edges {
            below += counts[next..edge.bin].iter().sum::<u64>();
            next = edge.bin;
            let difference = (below as f64 / total as f64 - edge.probability).abs();
            if difference > largest.0 {
                largest = (difference, edge.position);
            }
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::super::standard_normal::phi;
    use super::*;

    const DTYPES: [DType; 6] =
        [DType::F32, DType::F64, DType::BF16, DType::F16, DType::F8E4M3, DType::F8E5M2];

    #[test]
    fn a_value_is_in_a_bin_above_an_edge_if_it_is_above_the_position_of_the_edge() {
        let distributions = [
            Univariate::normal(0.5, 2.0),
            Univariate::normal(0.0, 1e-3),
            Univariate::normal(400.0, 1e-3),
            Univariate::Uniform { low: -0.3, high: 0.3 },
            Univariate::Normal { mean: 0.0, std: 1.0, low: 5.0, high: f64::INFINITY },
        ];
        for (distribution, dtype) in
            distributions.into_iter().flat_map(|one| DTYPES.map(|dtype| (one, dtype)))
        {
            let bins = Bins::new(&distribution, dtype);
            for edge in &bins.edges {
                let near = dtype.round(edge.position);
                let distance = 1e-3 / bins.per_unit;
                let (below, above) = grid::neighbours(dtype, near);
                let below = below.min(dtype.round(edge.position - distance));
                let above = above.max(dtype.round(edge.position + distance));
                for x in [below, above] {
                    let is_above = bins.index(x) >= edge.bin;
                    assert_eq!(is_above, x >= edge.position, "{distribution:?} {dtype} {x} {edge:?}");
                }
            }
        }
    }

    #[test]
    fn edges_of_normal_distributions_have_their_probabilities() {
        for (mean, std) in [(0.0, 0.02), (0.3, 1e-3), (-5.0, 1e-2), (1e8, 1e-3)] {
            for dtype in [DType::F32, DType::F64] {
                for edge in Bins::new(&Univariate::normal(mean, std), dtype).edges {
                    let expected = phi((edge.position - mean) / std);
                    assert!((edge.probability - expected).abs() < 1e-11, "{mean} {std} {dtype} {edge:?}");
                }
            }
        }
    }

    #[test]
    fn edges_ascend_and_are_between_adjacent_values() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            for distribution in [Univariate::normal(0.0, 0.02), Univariate::Uniform { low: -0.3, high: 0.3 }]
            {
                let Bins { edges, per_unit, .. } = Bins::new(&distribution, dtype);
                assert!(edges.len() > 300, "{dtype} {}", edges.len());
                let is_between = |edge: &Edge| {
                    let value = dtype.round(edge.position);
                    let (below, above) = grid::neighbours(dtype, value);
                    value != edge.position || (above - below) * per_unit < 1e-4
                };
                assert!(edges.iter().all(is_between), "{dtype}");
                let ascend = |pair: &[Edge]| {
                    pair[0].position < pair[1].position && pair[0].probability < pair[1].probability
                };
                assert!(edges.windows(2).all(ascend));
            }
        }
    }
}
