//! Samples values of a tensor, to find modes. A mode is a value that occurs far more often than the values next to it.

use crate::signs::{GOLDEN_RATIO, mix};

/// The largest number of values of a sample.
const SIZE: usize = 1 << 16;

/// Modes are looked for only in a sample that has at least this many distinct values. Quantized values and masks have
/// fewer distinct values.
const MIN_DISTINCT: usize = 8;

/// The count of a value is compared with the counts of the distinct values next to it: this many on each side.
const NEIGHBOURS: usize = 4;

/// The largest number of modes that are reported. If a sample has more, none are reported: they probably come from
/// repeated rows, which have their own message.
const MAX_MODES: usize = 4;

/// A mode occurs more than this many times in the sample.
const MIN_COUNT: usize = 12;

/// A sample of the values of a tensor, or of a range of its rows. One value is sampled from each block of `step`
/// consecutive values. Its position in the block is pseudo-random, so that values from all columns of a matrix are
/// sampled.
#[derive(Debug)]
pub(super) struct ValueSample {
    /// The number of consecutive values from which one value is sampled: the size of a block.
    step: u64,
    /// The index of the block that contains the next sampled value.
    block: u64,
    /// The row-major index of the next sampled value.
    next: u64,
    /// The row-major index of the next value that will be added.
    index: u64,
    /// The sampled values that are finite and not 0.
    values: Vec<f64>,
}

impl ValueSample {
    /// Returns an empty sample of a tensor of `count` values. `start` is the row-major index of the first value that
    /// will be added.
    pub(super) fn new(count: usize, start: usize) -> Self {
        let step = count.div_ceil(SIZE).max(1) as u64;
        let (block, index) = (start as u64 / step, start as u64);
        let mut sample = Self { step, block, next: 0, index, values: Vec::new() };
        sample.next = sample.in_block(block);
        if sample.next < index {
            sample.take_next_block();
        }
        sample
    }

    /// Returns the row-major index of the value that is sampled in block number `block`.
    fn in_block(&self, block: u64) -> u64 {
        // A pseudo-random number below `step`, computed without a division.
        let shift = ((block.wrapping_mul(GOLDEN_RATIO) >> 32) * self.step) >> 32;
        block * self.step + shift
    }

    /// Advances to the sampled value of the next block.
    fn take_next_block(&mut self) {
        self.block += 1;
        self.next = self.in_block(self.block);
    }

    /// Adds the next values of the tensor, in row-major order.
    pub(super) fn add(&mut self, values: &[f64]) {
        let end = self.index + values.len() as u64;
        while self.next < end {
            let x = values[(self.next - self.index) as usize];
            if x.is_finite() && x != 0.0 {
                self.values.push(x);
            }
            self.take_next_block();
        }
        self.index = end;
    }

    /// Adds the sampled values of `next`, which come from rows that follow the rows of `self`.
    pub(super) fn merge(&mut self, next: Self) {
        self.values.extend(next.values);
    }

    /// Returns whether some value possibly occurs more than `MIN_COUNT` times in the sample. Counts hashes of values,
    /// which is faster than sorting. Rare values with the same hash are counted together, so `true` may be wrong.
    /// `false` is always right.
    fn may_have_modes(&self) -> bool {
        let mut counts = vec![0u8; SIZE];
        self.values.iter().any(|x| {
            let count = &mut counts[(mix(x.to_bits()) % SIZE as u64) as usize];
            *count = count.saturating_add(1);
            usize::from(*count) > MIN_COUNT
        })
    }

    /// Returns the modes in ascending order. A mode occurs more than 3 k + `MIN_COUNT` times in the sample. Here k is
    /// the largest count among the four next smaller and the four next larger distinct values. Zeros are left out,
    /// because `sparse` matrices and the rows of padding tokens have many zeros.
    ///
    /// The factor 3 is needed for narrow types, such as bf16. Adjacent values of a smooth distribution have similar
    /// counts. In a narrow type, the counts double at a power of 2, because the spacing of the values doubles there.
    pub(super) fn modes(&self) -> Vec<f64> {
        if !self.may_have_modes() {
            return Vec::new();
        }
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
            counts[*n].1 > 3 * most + MIN_COUNT
        };
        let modes: Vec<f64> = (0..counts.len()).filter(is_mode).map(|n| counts[n].0).collect();
        if modes.len() > MAX_MODES { Vec::new() } else { modes }
    }
}
