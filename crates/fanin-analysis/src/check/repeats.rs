//! Values of a tensor that stand in it twice: what a sharded run leaves when two shards draw the same numbers.
//!
//! Two searches in one pass. Stretches: of all windows of `LENGTH` values those are kept whose hash says so, about
//! `KEPT` of them. What a window holds decides, not where it stands, so a stretch that stands twice has its kept windows
//! kept twice: one of k times n / `KEPT` values, n those of the tensor, is missed about once in e^k. Rows: of each a
//! hash, so none is missed that is long enough.

use std::collections::HashMap;

/// Values of a window. Of an honest draw, even in bf16, so many agree by chance in less than 1 of 1e15 pairs.
const LENGTH: usize = 12;

/// About how many windows of a large tensor are kept. Their hashes have 64 bits: among so many two agree by chance once
/// in 1e10 tensors.
const KEPT: usize = 1 << 16;

/// How many values of a tensor say how often two are equal.
const FIRST: usize = 1 << 16;

/// What one pass gathers.
#[derive(Debug)]
pub struct Repeats {
    width: usize,
    position: usize,
    /// The last values, and the hash of them: a polynomial in an odd number, which rolls on.
    ring: [u64; LENGTH],
    rolling: u64,
    leaving: u64,
    /// Hashes below it are kept.
    below: u64,
    windows: HashMap<u64, usize>,
    kept: u64,
    again: u64,
    first: Option<(usize, usize)>,
    row: u64,
    rows: Vec<u64>,
    counts: HashMap<u64, u64>,
}

/// What stands twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// A stretch, from these indices on.
    Stretch(usize, usize),
    /// These two rows.
    Rows(usize, usize),
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of a hash.
fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Repeats {
    /// Nothing gathered yet, of a tensor of this shape.
    pub fn new(shape: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        let width = if shape.len() < 2 { 0 } else { shape[1..].iter().product() };
        Self {
            width,
            position: 0,
            ring: [0; LENGTH],
            rolling: 0,
            leaving: STEP.wrapping_pow(LENGTH as u32),
            below: u64::MAX / count.div_ceil(KEPT).max(1) as u64,
            windows: HashMap::new(),
            kept: 0,
            again: 0,
            first: None,
            row: 0,
            rows: Vec::new(),
            counts: HashMap::new(),
        }
    }

    /// Takes in the next values.
    pub fn add(&mut self, values: &[f64]) {
        for value in values {
            let bits = value.to_bits();
            let place = self.position % LENGTH;
            let old = std::mem::replace(&mut self.ring[place], spread(bits));
            self.rolling = (self.rolling.wrapping_mul(STEP).wrapping_add(self.ring[place]))
                .wrapping_sub(old.wrapping_mul(self.leaving));
            self.position += 1;
            if self.position <= FIRST {
                *self.counts.entry(bits).or_default() += 1;
            }
            let hash = spread(self.rolling);
            if hash <= self.below && self.position >= LENGTH && self.tells() {
                let start = self.position - LENGTH;
                self.kept += 1;
                if let Some(&before) = self.windows.get(&hash) {
                    self.again += 1;
                    self.first.get_or_insert((before, start));
                } else {
                    self.windows.insert(hash, start);
                }
            }
            if self.width > 0 {
                self.row = spread(self.row ^ bits).wrapping_add(STEP);
                if self.position.is_multiple_of(self.width) {
                    self.rows.push(std::mem::take(&mut self.row));
                }
            }
        }
    }

    /// Whether the window proves anything: one with a value in it several times does not.
    fn tells(&self) -> bool {
        let mut distinct = self.ring;
        distinct.sort_unstable();
        distinct.windows(2).filter(|pair| pair[0] == pair[1]).count() <= 2
    }

    /// Whether there are several rows, all equal.
    pub fn all_rows_equal(&self) -> bool {
        self.rows.len() > 1 && self.rows.iter().all(|row| *row == self.rows[0])
    }

    /// What stands twice, however short it is: of values that were drawn one by one, none.
    pub fn any(&self) -> Option<Twice> {
        let stretch = self.first.map(|(first, second)| Twice::Stretch(first, second));
        stretch.or_else(|| self.equal_rows())
    }

    /// A stretch that stands twice and makes two percent of the tensor or more: trained tables may have rows alike, of
    /// tokens that never came up.
    pub fn large(&self) -> Option<Twice> {
        let (first, second) = self.first.filter(|_| self.again * 50 >= self.kept)?;
        Some(Twice::Stretch(first, second))
    }

    /// Two equal rows, if rows are long enough that none are by chance: that two values are equal is seen in the first
    /// ones, at least once in 2^16; that two rows of all are must be rarer than 2^-40.
    fn equal_rows(&self) -> Option<Twice> {
        let n = self.counts.values().sum::<u64>() as f64;
        let pairs: f64 = self.counts.values().map(|&count| count as f64 * (count as f64 - 1.0)).sum();
        let bits = -(pairs / (n * (n - 1.0))).max(2f64.powi(-16)).log2();
        let needed = 40.0 + 2.0 * (self.rows.len().max(1) as f64).log2();
        if bits.is_nan() || self.width as f64 * bits < needed {
            return None;
        }
        let mut rows: Vec<(u64, usize)> = self.rows.iter().copied().zip(0..).collect();
        rows.sort_unstable();
        let equal = rows.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        let equal = equal.map(|pair| (pair[0].1, pair[1].1)).min()?;
        Some(Twice::Rows(equal.0, equal.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distinct values, or of few bits.
    fn values(count: usize, bits: u32) -> Vec<f64> {
        (0..count as u64).map(|n| (spread(n.wrapping_mul(STEP) + 1) >> (64 - bits)) as f64).collect()
    }

    fn found(shape: &[usize], values: &[f64]) -> Option<Twice> {
        let mut repeats = Repeats::new(shape);
        // In chunks that fit nothing.
        values.chunks(1001).for_each(|chunk| repeats.add(chunk));
        repeats.any()
    }

    #[test]
    fn rows_and_stretches_are_found_and_nothing_else() {
        for bits in [8, 24] {
            let right = values(600 * 700, bits);
            assert_eq!(found(&[600, 700], &right), None, "{bits}");
            assert_eq!(found(&[600 * 700], &right), None, "{bits}");
            for (from, to, length) in [(100, 9_000, 300), (7, 301_003, 30_000), (400_000, 13, 2_000)] {
                let mut wrong = right.clone();
                wrong.copy_within(from..from + length, to);
                let Some(Twice::Stretch(first, second)) = found(&[600 * 700], &wrong) else {
                    panic!("{bits} {from}")
                };
                assert_eq!(second - first, from.abs_diff(to), "{bits} {from}");
            }
        }
        // A row is shorter than what is sure to have a window that is kept.
        let mut wrong = values(60_000 * 20, 24);
        wrong.copy_within(20 * 17..20 * 18, 20 * 50_000);
        let apart = match found(&[60_000, 20], &wrong).expect("equal rows") {
            Twice::Rows(first, second) => (second - first) * 20,
            Twice::Stretch(first, second) => second - first,
        };
        assert_eq!(apart, (50_000 - 17) * 20);
    }

    #[test]
    fn few_values_prove_nothing() {
        assert_eq!(found(&[4000, 12], &values(48_000, 1)), None);
        assert_eq!(found(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(found(&[100, 50], &[0.0; 5000]), None);
    }
}
