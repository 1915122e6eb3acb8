//! A sample of a tensor's values, in which modes are searched: values that occur far more often than their neighbours.

use std::collections::HashMap;

/// The largest number of values of a sample.
const SIZE: usize = 1 << 16;

/// The smallest number of distinct values with which a mode is recognized. Quantized values and masks have fewer.
const MIN_DISTINCT: usize = 8;

/// The number of distinct values on each side with which the count of a value is compared.
const NEIGHBOURS: usize = 4;

/// The largest number of modes. Repeated rows make more values frequent, and are reported as what they are.
const MAX_MODES: usize = 4;

/// Counts of the sampled values of a tensor. Of every `step` consecutive values one is sampled, at a position that
/// varies, so that the sample does not follow the columns of a matrix.
#[derive(Debug)]
pub(super) struct ValueSample {
    step: u64,
    /// The row-major index of the next sampled value.
    next: u64,
    /// The row-major index of the next value.
    index: u64,
    counts: HashMap<u64, u32>,
}

impl ValueSample {
    /// Returns an empty sample of a tensor of `count` values.
    pub(super) fn new(count: usize) -> Self {
        Self { step: count.div_ceil(SIZE).max(1) as u64, next: 0, index: 0, counts: HashMap::new() }
    }

    /// Adds the next values of the tensor.
    pub(super) fn add(&mut self, values: &[f64]) {
        let end = self.index + values.len() as u64;
        while self.next < end {
            let x = values[(self.next - self.index) as usize];
            if x.is_finite() && x != 0.0 {
                *self.counts.entry(x.to_bits()).or_default() += 1;
            }
            let block = self.next / self.step + 1;
            self.next = block * self.step + (block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.step;
        }
        self.index = end;
    }

    /// Returns the values that occur far more often than the values next to them, in ascending order. Zeros are left
    /// out: `sparse` matrices and padding rows have them.
    ///
    /// Neighbours of a smooth distribution have similar counts, in a wide type and on the grid of a narrow one: the
    /// spacing of a type's values, and so a count, at most doubles from one value to the next.
    pub(super) fn modes(&self) -> Vec<f64> {
        let mut counts: Vec<(f64, u32)> =
            self.counts.iter().map(|(&bits, &count)| (f64::from_bits(bits), count)).collect();
        if counts.len() < MIN_DISTINCT {
            return Vec::new();
        }
        counts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let is_mode = |n: &usize| {
            let neighbours = n.saturating_sub(NEIGHBOURS)..counts.len().min(n + NEIGHBOURS + 1);
            let most = neighbours.filter(|m| m != n).map(|m| counts[m].1).max().unwrap_or(0);
            counts[*n].1 > 3 * most + 12
        };
        let modes: Vec<f64> = (0..counts.len()).filter(is_mode).map(|n| counts[n].0).collect();
        if modes.len() > MAX_MODES { Vec::new() } else { modes }
    }
}
