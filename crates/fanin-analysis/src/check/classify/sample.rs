//! A sample of a tensor's values, in which modes are searched: values that occur far more often than their neighbours.

/// The largest number of values of a sample.
const SIZE: usize = 1 << 16;

/// The smallest number of distinct values with which a mode is recognized. Quantized values and masks have fewer.
const MIN_DISTINCT: usize = 8;

/// The number of distinct values on each side with which the count of a value is compared.
const NEIGHBOURS: usize = 4;

/// The largest number of modes. Repeated rows make more values frequent, and are reported as what they are.
const MAX_MODES: usize = 4;

/// Sampled values of a tensor, or of some of its rows. Of every `step` consecutive values one is sampled, at a position
/// that varies, so that the sample does not follow the columns of a matrix.
#[derive(Debug)]
pub(super) struct ValueSample {
    step: u64,
    /// The row-major index of the next sampled value.
    next: u64,
    /// The row-major index of the next value.
    index: u64,
    values: Vec<f64>,
}

impl ValueSample {
    /// Returns an empty sample of a tensor of `count` values. `start` is the row-major index of the first value that
    /// will be added.
    pub(super) fn new(count: usize, start: usize) -> Self {
        let step = count.div_ceil(SIZE).max(1) as u64;
        let mut sample = Self { step, next: 0, index: start as u64, values: Vec::new() };
        sample.next = sample.in_block(sample.index / step);
        if sample.next < sample.index {
            sample.next = sample.in_block(sample.index / step + 1);
        }
        sample
    }

    /// Returns the index of the value that is sampled in a block of `step` values.
    fn in_block(&self, block: u64) -> u64 {
        let shift =
            if block == 0 { 0 } else { (block.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.step };
        block * self.step + shift
    }

    /// Adds the next values of the tensor.
    pub(super) fn add(&mut self, values: &[f64]) {
        let end = self.index + values.len() as u64;
        while self.next < end {
            let x = values[(self.next - self.index) as usize];
            if x.is_finite() && x != 0.0 {
                self.values.push(x);
            }
            self.next = self.in_block(self.next / self.step + 1);
        }
        self.index = end;
    }

    /// Adds the sample of the values that follow.
    pub(super) fn merge(&mut self, next: Self) {
        self.values.extend(next.values);
    }

    /// Returns the values that occur far more often than the values next to them, in ascending order. Zeros are left
    /// out: `sparse` matrices and padding rows have them.
    ///
    /// Neighbours of a smooth distribution have similar counts, in a wide type and on the grid of a narrow one: the
    /// spacing of a type's values, and so a count, at most doubles from one value to the next.
    pub(super) fn modes(&self) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let counts = sorted.chunk_by(|a, b| a == b).map(|values| (values[0], values.len()));
        let counts: Vec<(f64, usize)> = counts.collect();
        if counts.len() < MIN_DISTINCT {
            return Vec::new();
        }
        let is_mode = |n: &usize| {
            let neighbours = n.saturating_sub(NEIGHBOURS)..counts.len().min(n + NEIGHBOURS + 1);
            let most = neighbours.filter(|m| m != n).map(|m| counts[m].1).max().unwrap_or(0);
            counts[*n].1 > 3 * most + 12
        };
        let modes: Vec<f64> = (0..counts.len()).filter(is_mode).map(|n| counts[n].0).collect();
        if modes.len() > MAX_MODES { Vec::new() } else { modes }
    }
}
