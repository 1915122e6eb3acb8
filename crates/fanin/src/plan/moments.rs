//! The mean, the standard deviation and the bounds of the values of a plan.

use super::distribution::Distribution;
use super::mapped::moments_of_sequence;
use super::types::Plan;
use crate::distributions::truncated;

impl Plan {
    /// Returns the expected value of an element. For blocks, and for distributions without random numbers, such as
    /// `eye`, this is the mean over all elements.
    pub fn mean(&self) -> f64 {
        match self.distribution {
            Distribution::Constant { value } => self.dtype.round(value),
            Distribution::Uniform { low, high } => low / 2.0 + high / 2.0,
            Distribution::Normal { mean, .. } => mean,
            Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                let (shift, _) = truncated::moments((low - mean) / std, (high - mean) / std);
                mean + std * shift
            }
            Distribution::Eye | Distribution::Dirac { .. } => self.fraction_of_ones(),
            Distribution::Orthogonal { .. } | Distribution::Sparse { .. } => 0.0,
            Distribution::Hadamard { .. } | Distribution::RepeatedEye { .. } => self.mean_of_formula(),
            Distribution::Arange { start, step } => {
                moments_of_sequence(self, |index| start + step * index as f64).0
            }
            Distribution::Mapped { .. } => self.moments_of_mapped().0,
            Distribution::Blocks { .. } => self.moments_of_blocks().0,
        }
    }

    /// Returns the standard deviation of an element. For blocks, and for distributions without random numbers, such as
    /// `eye`, this is the standard deviation over all elements.
    ///
    /// * Uniform: `(high - low) / sqrt(12)`.
    /// * Truncated normal: the standard deviation after truncation.
    /// * Orthogonal: `|gain| / sqrt(max(rows, columns))`, because an entry of a Haar matrix has variance
    ///   `1 / max(rows, columns)`.
    /// * Sparse: `std * sqrt(1 - zeros / rows)`.
    pub fn std(&self) -> f64 {
        match self.distribution {
            Distribution::Constant { .. } => 0.0,
            Distribution::Uniform { low, high } => (high - low) / 12f64.sqrt(),
            Distribution::Normal { std, .. } => std,
            Distribution::TruncatedNormal { mean, std, low, high, .. } => {
                std * truncated::moments((low - mean) / std, (high - mean) / std).1.sqrt()
            }
            Distribution::Eye | Distribution::Dirac { .. } => {
                let fraction = self.fraction_of_ones();
                (fraction * (1.0 - fraction)).sqrt()
            }
            Distribution::Orthogonal { gain } => {
                let (rows, columns) = self.matrix();
                gain.abs() / (rows.max(columns) as f64).sqrt()
            }
            Distribution::Hadamard { scale } => (scale * scale - self.mean() * self.mean()).max(0.0).sqrt(),
            Distribution::RepeatedEye { value } => {
                let fraction = 1.0 / self.matrix().1.max(1) as f64;
                value.abs() * (fraction * (1.0 - fraction)).sqrt()
            }
            Distribution::Arange { start, step } => {
                moments_of_sequence(self, |index| start + step * index as f64).1
            }
            Distribution::Mapped { .. } => self.moments_of_mapped().1,
            Distribution::Blocks { .. } => {
                let (mean, square) = self.moments_of_blocks();
                (square - mean * mean).max(0.0).sqrt()
            }
            Distribution::Sparse { zeros, std } => {
                std * (1.0 - zeros as f64 / self.matrix().0.max(1) as f64).sqrt()
            }
        }
    }

    /// Returns the lower and the upper bound of the distribution. A bound is infinite if the distribution is unbounded
    /// on this side. Only the bounds of a constant are rounded to the element type.
    pub fn bounds(&self) -> (f64, f64) {
        match self.distribution {
            Distribution::Constant { value } => (self.dtype.round(value), self.dtype.round(value)),
            Distribution::Uniform { low, high } => (low, high),
            Distribution::TruncatedNormal { low, high, .. } => (low, high),
            Distribution::Eye | Distribution::Dirac { .. } => (0.0, 1.0),
            Distribution::Orthogonal { gain } => (-gain.abs(), gain.abs()),
            Distribution::Hadamard { scale } => (-scale.abs(), scale.abs()),
            Distribution::RepeatedEye { value } => (value.min(0.0), value.max(0.0)),
            Distribution::Arange { start, step } => {
                let length = self.shape.last().copied().unwrap_or(1).max(1);
                let end = start + step * (length - 1) as f64;
                (start.min(end), start.max(end))
            }
            Distribution::Mapped { functions } => {
                let (low, high) = self.argument().map_or((f64::NAN, f64::NAN), Plan::bounds);
                (functions.apply(low), functions.apply(high))
            }
            Distribution::Blocks { .. } => self.bounds_of_blocks(),
            Distribution::Normal { .. } | Distribution::Sparse { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// Returns the fraction of the elements that are 1, for `eye` and `dirac`.
    fn fraction_of_ones(&self) -> f64 {
        let count = match (self.distribution, self.shape.as_slice()) {
            (Distribution::Eye, [rows, columns]) => *rows.min(columns),
            (Distribution::Dirac { groups }, [outputs, inputs, ..]) => {
                groups * (outputs / groups).min(*inputs)
            }
            _ => 0,
        };
        count as f64 / self.len().max(1) as f64
    }

    /// Returns the mean and the mean square over all elements of a plan of blocks.
    fn moments_of_blocks(&self) -> (f64, f64) {
        let (mut first, mut second) = (0.0, 0.0);
        for block in &self.blocks {
            let fraction = block.plan.len() as f64 / self.len().max(1) as f64;
            let (mean, std) = (block.plan.mean(), block.plan.std());
            first += fraction * mean;
            second += fraction * (std * std + mean * mean);
        }
        (first, second)
    }

    /// Returns the least and the greatest value that the elements of a plan of blocks can have.
    fn bounds_of_blocks(&self) -> (f64, f64) {
        let background = if self.has_background() { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        self.blocks
            .iter()
            .map(|block| block.plan.bounds())
            .fold(background, |(low, high), (a, b)| (low.min(a), high.max(b)))
    }
}
