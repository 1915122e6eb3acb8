//! Searches for repeated values in a tensor. A tensor contains repetitions if it is generated in shards, and two shards
//! use the same random numbers.
//!
//! The values are read once. Repetitions are found in three ways.
//! - Ranges: hashes of windows of `WINDOW` consecutive values are recorded and compared. In a large tensor, only about
//!   `KEPT` windows are recorded. Another hash, of only the last two values of a window, decides whether the window is
//!   recorded: the hash of the two values must be small. The decision does not depend on the position of the window.
//!   The same windows are therefore recorded in both occurrences of a repeated range.
//!
//!   A short repeated range may be missed. In a tensor of n values (2^20 or more), let r be n / `KEPT`. About one in r
//!   windows is recorded. A repeated range of k * r values is missed with a probability of about e^-k. For example, r
//!   is 3052 if n = 1e8. A repeated range of 15,259 values (k = 5) is then missed with a probability of 0.7 %.
//! - Rows: every row is hashed. If rows are so short that two random rows may be equal by chance, no row is recorded.
//!   In a tensor of more than `MAX_ROWS` rows, only rows with small hashes are recorded, so two equal rows may be
//!   missed.
//! - Magnitudes: rows, columns and blocks with the same magnitudes are found. See [`super::magnitudes`].

use super::magnitudes::Magnitudes;
use super::tensor_view::matrix;
use super::test_result::TestResult;
use super::value_hashes::{ValueHashes, WINDOW, hash_of_window, polynomial, power};
use crate::vectorized::vectorized;

/// The approximate number of windows that are recorded in a tensor of 2^20 or more values. A window is `WINDOW`
/// consecutive values. The probability that at least two recorded windows have the same 64-bit hash by chance is about
/// `KEPT`^2 / 2^65, or 3e-11.
const KEPT: usize = 1 << 15;

/// The approximate limit on the number of rows whose hashes are recorded.
const MAX_ROWS: usize = 1 << 22;

/// The upper limit on the bits per value. The bits per value are -log2 of the estimated probability that two values are
/// equal.
const MAX_BITS_PER_VALUE: f64 = 16.0;

/// The probability that two values are equal is estimated from this many values at the start of the tensor.
const FIRST: usize = 1 << 14;

/// A search for repeated values. It receives the values of a tensor, or of a range of its rows, in row-major order,
/// chunk by chunk. The searches of consecutive ranges can be merged.
#[derive(Debug)]
pub(crate) struct RepeatSearch {
    /// The number of columns; 0 if the tensor has fewer than two axes.
    row_width: usize,
    /// The row-major index of the first value that is added to the search.
    start: usize,
    /// The number of values added so far.
    position: usize,
    /// The hashes of the current chunk of values.
    hashes: ValueHashes,
    /// A window is recorded if the hash of its last two values is at most this limit and is not 0.
    max_pair_hash: u32,
    /// The hash of each recorded window, and the row-major index at which the window starts.
    windows: Vec<(u64, usize)>,
    /// The hash of the values that have been added to the current row.
    row_hash: u64,
    /// The number of values that have been added to the current row.
    column: usize,
    /// The base of the polynomial hash, raised to the power `column`.
    power: u64,
    /// The base of the polynomial hash, raised to the row-major index of the first value of the current row.
    power_of_row: u64,
    /// The number of complete rows so far.
    rows: usize,
    /// The hash of the first row.
    first_row: u64,
    /// Whether all rows so far are equal.
    rows_are_equal: bool,
    /// A row is recorded if its hash is at most this limit. `None` if rows are so short that two rows may be equal by
    /// chance.
    max_row_hash: Option<u64>,
    /// The hash of each recorded row, and the index of the row.
    row_hashes: Vec<(u64, usize)>,
    /// The bit patterns of the first `FIRST` values of the tensor. Empty if the search does not start at the first
    /// value.
    first: Vec<u64>,
    /// The result of [`hash`](Self::hash), without the current row.
    hash: u64,
    /// The search for rows, columns and blocks with the same magnitudes. `None` if the tensor has fewer than two axes,
    /// or no values.
    magnitudes: Option<Magnitudes>,
}

/// A repetition of values in a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A range of values occurs twice, at these row-major indices.
    Range(usize, usize),
    /// The rows at these indices are equal.
    Rows(usize, usize),
}

impl std::fmt::Display for Repeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range(first, second) => {
                write!(f, "a range of values occurs twice, at indices {first} and {second}")
            }
            Self::Rows(first, second) => write!(f, "rows {first} and {second} are equal"),
        }
    }
}

/// Returns -log2 of the highest allowed probability that two given rows are equal by chance. The probability of any
/// equal pair among `rows` rows is then below 2^-40.
fn bits_of_equal_rows(rows: usize) -> f64 {
    40.0 + 2.0 * (rows.max(1) as f64).log2()
}

/// Returns a number n: the search records about one in n windows. `count` is the number of values of the tensor. If
/// `count` is above 2^14, about 2^14 or more windows are recorded.
fn windows_per_record(count: usize) -> usize {
    // Most of the time of `record` is spent on the windows that it records.
    count.div_ceil(KEPT).max((count >> 14).min(32)).max(1)
}

vectorized! {
    /// Appends to `found` the distinctive windows (see [`is_distinctive`]) for which the hash of the last two values is
    /// at most `max_pair_hash` and is not 0. Leaves out the first `skipped` windows. The first window ends at the
    /// row-major index `end`.
    fn record(
        hashes: &ValueHashes,
        max_pair_hash: u32,
        skipped: usize,
        end: usize,
        found: &mut Vec<(u64, usize)>
    ) {
        // Most groups of a large tensor contain no small hash.
        const GROUP: usize = 8;
        // In a sparse tensor, many pairs consist of two zeros. The hash of such a pair is 0.
        let is_recorded = |pair: u32| pair.wrapping_sub(1) < max_pair_hash;
        for (group, pairs) in hashes.of_pairs().chunks(GROUP).enumerate() {
            if pairs.iter().fold(false, |any, pair| any | is_recorded(*pair)) {
                for (n, pair) in (group * GROUP..).zip(pairs) {
                    let window = hashes.in_window(n);
                    if is_recorded(*pair) && n >= skipped && is_distinctive(window) {
                        found.push((hash_of_window(window), end + n + 1 - WINDOW));
                    }
                }
            }
        }
    }
}

/// Returns whether a window of hashed values has at least `WINDOW` - 2 distinct values. Windows with fewer distinct
/// values may be equal by chance.
#[inline(always)]
fn is_distinctive(window: &[u64; WINDOW]) -> bool {
    // The number of distinct 6-bit parts is a lower bound on the number of distinct hashes. The bound is usually large
    // enough, and the hashes need not be sorted.
    let has_many = |shift: u32| {
        let set = window.iter().fold(0u64, |set, hash| set | 1 << (hash >> shift & 63));
        set.count_ones() as usize + 2 >= WINDOW
    };
    has_many(58) || has_many(52) || has_few_equal(*window)
}

/// Sorts the hashes. Returns whether at most two pairs of neighbours in the sorted order are equal.
fn has_few_equal(mut window: [u64; WINDOW]) -> bool {
    window.sort_unstable();
    window.windows(2).filter(|pair| pair[0] == pair[1]).count() <= 2
}

/// Returns whether two of the hashes are equal. Also returns true if 0 and 1 are among the hashes, because the
/// table stores 0 as 1. The second element of each pair, an index, is ignored.
fn may_have_equal(hashes: &[(u64, usize)]) -> bool {
    let size = (2 * hashes.len() + 1).next_power_of_two();
    // Empty slots are 0.
    let mut table = vec![0; size];
    hashes.iter().any(|&(hash, _)| {
        let hash = hash.max(1);
        let mut slot = hash as usize % size;
        while table[slot] != 0 {
            if table[slot] == hash {
                return true;
            }
            slot = (slot + 1) % size;
        }
        table[slot] = hash;
        false
    })
}

impl RepeatSearch {
    /// Creates a search without values, for a tensor of the shape `shape`. `start` is the row-major index of the first
    /// value that will be added. A row must start at this index.
    pub(crate) fn new(shape: &[usize], start: usize) -> Self {
        let count: usize = if shape.contains(&0) { 0 } else { shape.iter().product() };
        let (rows, row_width) = matrix(shape);
        let long_enough = row_width as f64 * MAX_BITS_PER_VALUE >= bits_of_equal_rows(rows);
        Self {
            row_width,
            start,
            position: 0,
            hashes: ValueHashes::new(),
            max_pair_hash: u32::MAX / windows_per_record(count).min(1 << 30) as u32,
            windows: Vec::new(),
            row_hash: 0,
            column: 0,
            power: 1,
            power_of_row: power(start),
            rows: 0,
            first_row: 0,
            rows_are_equal: true,
            max_row_hash: long_enough.then(|| u64::MAX / rows.div_ceil(MAX_ROWS).max(1) as u64),
            row_hashes: Vec::new(),
            first: Vec::new(),
            hash: 0,
            magnitudes: (rows > 0).then(|| Magnitudes::new(rows, row_width, start)),
        }
    }

    /// Adds the next values of the tensor, in row-major order. One call can add at most
    /// [`CHUNK`](super::tensor_view::CHUNK) values.
    pub(crate) fn add(&mut self, values: &[f64]) {
        if self.start == 0 {
            let first = values.iter().take(FIRST - self.first.len().min(FIRST));
            self.first.extend(first.map(|value| value.to_bits()));
        }
        self.hashes.set(values);
        if let Some(magnitudes) = &mut self.magnitudes {
            magnitudes.add(self.hashes.of_values());
        }
        self.record_windows();
        self.add_to_rows();
        self.position += values.len();
    }

    /// Records distinctive windows (see [`is_distinctive`]) that end in the current chunk.
    fn record_windows(&mut self) {
        // The row-major index of the last value of the first window of the chunk.
        let end = self.start + self.position;
        // A window must not start before the first value.
        let skipped = (WINDOW - 1).saturating_sub(self.position);
        record(&self.hashes, self.max_pair_hash, skipped, end, &mut self.windows);
    }

    /// Adds the hashes of the values of the current chunk to the hashes of their rows.
    fn add_to_rows(&mut self) {
        let count = self.hashes.of_values().len();
        let mut added = 0;
        while added < count {
            let left = count - added;
            let in_row = if self.row_width > 0 { left.min(self.row_width - self.column) } else { left };
            let sum = polynomial(&self.hashes.of_values()[added..added + in_row]);
            self.row_hash = self.row_hash.wrapping_add(sum.wrapping_mul(self.power));
            self.power = self.power.wrapping_mul(power(in_row));
            self.column += in_row;
            added += in_row;
            if self.column == self.row_width && self.row_width > 0 {
                self.finish_row();
            }
        }
    }

    /// Merges the results of the search `next`. The rows of `next` follow the rows of `self` in the tensor. Windows
    /// that start in the rows of `self` and end in the rows of `next` are not recorded.
    pub(crate) fn merge(&mut self, next: Self) {
        let rows = self.rows;
        self.hash = self.hash.wrapping_add(next.hash());
        self.position += next.position;
        self.windows.extend(next.windows);
        self.row_hashes.extend(next.row_hashes.iter().map(|&(hash, row)| (hash, rows + row)));
        self.rows += next.rows;
        self.rows_are_equal &= next.rows_are_equal && next.first_row == self.first_row;
        if let (Some(magnitudes), Some(next)) = (&mut self.magnitudes, next.magnitudes) {
            magnitudes.merge(next);
        }
    }

    /// Returns whether the first `FIRST` values of the tensor have at most `count` distinct values.
    pub(crate) fn starts_with_few(&self, count: usize) -> bool {
        let mut known: Vec<u64> = Vec::new();
        self.first.iter().all(|bits| {
            if !known.contains(bits) {
                known.push(*bits);
            }
            known.len() <= count
        })
    }

    /// Returns a hash of all values with their row-major indices.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.wrapping_add(self.row_hash.wrapping_mul(self.power_of_row))
    }

    /// Compares the current row with the first row. Records the hash of the current row if the hash is small.
    fn finish_row(&mut self) {
        let hash = std::mem::take(&mut self.row_hash);
        self.hash = self.hash.wrapping_add(hash.wrapping_mul(self.power_of_row));
        self.power_of_row = self.power_of_row.wrapping_mul(self.power);
        (self.column, self.power) = (0, 1);
        if self.rows == 0 {
            self.first_row = hash;
        }
        self.rows_are_equal &= hash == self.first_row;
        if self.max_row_hash.is_some_and(|max| hash <= max) {
            self.row_hashes.push((hash, self.rows));
        }
        self.rows += 1;
    }

    /// Returns whether the tensor has more than one row, and all rows are equal.
    pub(crate) fn all_rows_equal(&self) -> bool {
        self.rows > 1 && self.rows_are_equal
    }

    /// Returns the first repeated range or, if there is none, the first two equal rows. Independent random values
    /// practically never contain a repetition.
    pub(crate) fn any(&self) -> Option<Repeat> {
        let range = self.repeated_windows().1.map(|(first, second)| Repeat::Range(first, second));
        range.or_else(|| self.equal_rows())
    }

    /// Returns a failed test if two rows, two columns or two blocks have the same magnitudes. See [`Magnitudes::test`].
    pub(crate) fn same_magnitudes(&self) -> Option<TestResult> {
        self.magnitudes.as_ref().and_then(Magnitudes::test)
    }

    /// Returns the first repeated range if at least 2 % of the recorded windows are repeated. Fewer repetitions are
    /// normal: in an embedding, the rows of tokens that never occur in training may be equal.
    pub(crate) fn large(&self) -> Option<Repeat> {
        let (repeated, first) = self.repeated_windows();
        let (first, second) = first.filter(|_| repeated * 50 >= self.windows.len())?;
        Some(Repeat::Range(first, second))
    }

    /// Returns the number of recorded windows that repeat an earlier recorded window. For the first repetition, also
    /// returns the row-major indices at which the earlier window and its repetition start.
    fn repeated_windows(&self) -> (usize, Option<(usize, usize)>) {
        if !may_have_equal(&self.windows) {
            return (0, None);
        }
        let mut sorted = self.windows.clone();
        sorted.sort_unstable();
        let equal = sorted.chunk_by(|a, b| a.0 == b.0).filter(|windows| windows.len() > 1);
        let pairs = equal.flat_map(|windows| windows[1..].iter().map(|window| (windows[0].1, window.1)));
        pairs.fold((0, None), |(count, first), pair| {
            let first = first.filter(|known: &(usize, usize)| known.1 < pair.1).unwrap_or(pair);
            (count + 1, Some(first))
        })
    }

    /// Returns the first two equal rows. Returns `None` if rows are so short, or have so few distinct values, that they
    /// may be equal by chance. See [`bits_of_equal_rows`].
    fn equal_rows(&self) -> Option<Repeat> {
        if !may_have_equal(&self.row_hashes) {
            return None;
        }
        let mut values = self.first.clone();
        values.sort_unstable();
        let n = values.len() as f64;
        let pairs_of = |count: usize| count as f64 * (count as f64 - 1.0);
        let pairs: f64 = values.chunk_by(|a, b| a == b).map(|values| pairs_of(values.len())).sum();
        let equal = pairs / (n * (n - 1.0));
        let bits_per_value = (-equal.log2()).min(MAX_BITS_PER_VALUE);
        let needed = bits_of_equal_rows(self.rows);
        if equal.is_nan() || self.row_width as f64 * bits_per_value < needed {
            return None;
        }
        let mut rows = self.row_hashes.clone();
        rows.sort_unstable();
        let equal = rows.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        let (first, second) = equal.map(|pair| (pair[0].1, pair[1].1)).min()?;
        Some(Repeat::Rows(first, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::mix;

    /// Returns `count` pseudo-random integers of `bits` bits.
    fn values(count: usize, bits: u32) -> Vec<f64> {
        (0..count as u64)
            .map(|n| (mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1) >> (64 - bits)) as f64)
            .collect()
    }

    /// Returns the repetition that a search in these values finds.
    fn found(shape: &[usize], values: &[f64]) -> Option<Repeat> {
        let mut search = RepeatSearch::new(shape, 0);
        // With this size, chunks end within rows and within windows.
        values.chunks(1001).for_each(|chunk| search.add(chunk));
        search.any()
    }

    #[test]
    fn repeated_ranges_and_rows_are_found_and_nothing_else() {
        for bits in [8, 24] {
            let right = values(600 * 700, bits);
            assert_eq!(found(&[600, 700], &right), None, "{bits}");
            assert_eq!(found(&[600 * 700], &right), None, "{bits}");
            for (from, to, length) in [(100, 9_000, 300), (7, 301_003, 30_000), (400_000, 13, 2_000)] {
                let mut wrong = right.clone();
                wrong.copy_within(from..from + length, to);
                let Some(Repeat::Range(first, second)) = found(&[600 * 700], &wrong) else {
                    panic!("{bits} {from}")
                };
                assert_eq!(second - first, from.abs_diff(to), "{bits} {from}");
            }
        }
        // A row of 20 values is so short that possibly none of its windows is recorded. The two equal rows may
        // therefore be found as a range or as rows.
        let mut wrong = values(60_000 * 20, 24);
        wrong.copy_within(20 * 17..20 * 18, 20 * 50_000);
        let apart = match found(&[60_000, 20], &wrong).expect("equal rows") {
            Repeat::Rows(first, second) => (second - first) * 20,
            Repeat::Range(first, second) => second - first,
        };
        assert_eq!(apart, (50_000 - 17) * 20);
    }

    #[test]
    fn equal_short_rows_and_rows_of_few_distinct_values_are_not_reported() {
        assert_eq!(found(&[4000, 12], &values(48_000, 1)), None);
        assert_eq!(found(&[2, 4], &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]), None);
        assert_eq!(found(&[100, 50], &[0.0; 5000]), None);
    }
}
