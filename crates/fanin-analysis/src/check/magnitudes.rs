//! Detects copies in a matrix: rows, columns or blocks that have the same magnitudes in any order. A copy may be equal,
//! negated, permuted or transposed.
//!
//! A line is a row or a column. The hash of a line is the sum of the hashes of its magnitudes. The hash does not depend
//! on the order of the values, nor on their signs. In a type with few distinct values, such as float8, two lines may
//! have the same magnitudes by chance. The probability of this is estimated from the first values of the tensor.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::check::test_result::TestResult;
use crate::check::value_hashes::magnitude;
use crate::vectorized::vectorized;

/// The largest number of blocks of equal size into which the rows or the columns are divided.
const MAX_BLOCKS: usize = 16;

/// The largest number of rows or columns that are compared. Later rows are left out. If there are more columns than
/// this, no columns are compared.
const MAX_LINES: usize = 1 << 22;

/// The frequencies of magnitudes are estimated from this many values at the start of the tensor.
const FIRST: usize = 1 << 14;

/// For each row and each column of a matrix, a hash of the magnitudes of its values.
#[derive(Debug, Default)]
pub(super) struct Magnitudes {
    /// The number of columns.
    width: usize,
    /// For each of the first `FIRST` values of the tensor, the hash of its magnitude.
    first: Vec<u64>,
    /// The hashes of the complete rows.
    rows: Vec<u64>,
    /// For each square tile, the hashes of its columns. For example, a 48 x 16 matrix consists of three 16 x 16 tiles.
    /// Empty unless the matrix consists of 1 to `MAX_BLOCKS` tiles with 16 or more columns.
    tiles: Vec<Vec<u64>>,
    /// The hashes of the columns.
    columns: Vec<u64>,
    /// The sum of the hashes of the magnitudes that have been added to the current row.
    row: u64,
    /// The number of values that have been added to the current row.
    filled: usize,
    /// The number of complete rows.
    finished: usize,
    /// The row-major index, in the whole matrix, of the first value whose hash [`add`](Self::add) receives.
    start: usize,
}

vectorized! {
    /// Computes the magnitude hash of each value from the hash of the value (see [`magnitude`]). The argument `hashes`
    /// contains the hashes of the values. The magnitude hash of value n is added to `columns[n]` and `tile[n]`.
    /// `columns` and `tile` may be empty. Returns the sum of the magnitude hashes.
    fn add_hashes(hashes: &[u64], columns: &mut [u64], tile: &mut [u64]) -> u64 {
        for sums in [columns, tile] {
            for (sum, hash) in sums.iter_mut().zip(hashes) {
                *sum = sum.wrapping_add(magnitude(*hash));
            }
        }
        hashes.iter().fold(0, |sum, hash| sum.wrapping_add(magnitude(*hash)))
    }
}

impl Magnitudes {
    /// Creates the hashes for a `rows` x `width` matrix. No values have been added yet. `start` is the row-major index
    /// of the first value that will be added. This value must be the first in its row.
    pub(super) fn new(rows: usize, width: usize, start: usize) -> Self {
        const MIN_SIDE: usize = 16;
        let squares = if width >= MIN_SIDE && rows.is_multiple_of(width) { rows / width } else { 0 };
        let squares = if squares <= MAX_BLOCKS { squares } else { 0 };
        let tiles = vec![vec![0; width]; squares];
        let columns = vec![0; if width > MAX_LINES { 0 } else { width }];
        Self { width, columns, tiles, start, ..Self::default() }
    }

    /// Adds the hashes of the next values in row-major order.
    pub(super) fn add(&mut self, hashes: &[u64]) {
        if self.start == 0 {
            let first = hashes.iter().take(FIRST - self.first.len().min(FIRST));
            self.first.extend(first.map(|hash| magnitude(*hash)));
        }
        let mut left = hashes;
        while !left.is_empty() {
            let (of_row, next) = left.split_at(left.len().min(self.width - self.filled));
            self.add_to_row(of_row);
            left = next;
        }
    }

    /// Adds the hashes of the next values of the current row. All these values must be in the current row.
    fn add_to_row(&mut self, hashes: &[u64]) {
        let tile = (self.start / self.width + self.finished) / self.width;
        let columns = self.filled..self.filled + hashes.len();
        let sums = self.columns.get_mut(columns.clone()).unwrap_or_default();
        let tile = self.tiles.get_mut(tile).and_then(|sums| sums.get_mut(columns)).unwrap_or_default();
        self.row = self.row.wrapping_add(add_hashes(hashes, sums, tile));
        self.filled += hashes.len();
        if self.filled == self.width {
            let row = std::mem::take(&mut self.row);
            if self.rows.len() < MAX_LINES {
                self.rows.push(row);
            }
            self.finished += 1;
            self.filled = 0;
        }
    }

    /// Adds the hashes of `next`. The rows of `next` follow those of `self` in the matrix.
    pub(super) fn merge(&mut self, next: Self) {
        self.finished += next.finished;
        self.rows.extend(next.rows.into_iter().take(MAX_LINES.saturating_sub(self.rows.len())));
        let add = |sums: &mut Vec<u64>, next: Vec<u64>| {
            sums.iter_mut().zip(next).for_each(|(sum, next)| *sum = sum.wrapping_add(next));
        };
        add(&mut self.columns, next.columns);
        self.tiles.iter_mut().zip(next.tiles).for_each(|(tile, next)| add(tile, next));
    }

    /// Returns a failed test `repeats` if two rows, two columns or two blocks have the same magnitudes. Also returns a
    /// failed test if a row of the matrix has the same magnitudes as a column of a square tile. For example, a 48 x 16
    /// matrix consists of three 16 x 16 tiles. Returns `None` if no magnitudes match, or if chance explains the match.
    pub(super) fn test(&self) -> Option<TestResult> {
        let all = if self.finished > self.rows.len() { &[][..] } else { &self.rows[..] };
        let chance = Chance::new(&self.first);
        let found = blocks("rows", all, self.width, &chance);
        let found = found.or_else(|| blocks("columns", &self.columns, self.finished, &chance));
        let found = found.or_else(|| lines("rows", &self.rows, self.width, &chance));
        let found = found.or_else(|| lines("columns", &self.columns, self.finished, &chance));
        let found = found.or_else(|| self.transposed(&chance));
        found.map(|text| TestResult::failure("repeats", text))
    }

    /// Returns a message if a row of the matrix has the same magnitudes as a column of a square tile. Returns `None` if
    /// no row does, or if chance explains the equal magnitudes.
    fn transposed(&self, chance: &Chance<'_>) -> Option<String> {
        if self.tiles.is_empty() {
            return None;
        }
        let known: HashMap<u64, usize> = self.rows.iter().copied().zip(0..).collect();
        let tiles = self.tiles.iter().enumerate();
        let mut columns = tiles.flat_map(|(tile, columns)| {
            columns.iter().enumerate().map(move |(column, hash)| (tile, column, hash))
        });
        let (tile, column, row) =
            columns.find_map(|(tile, column, hash)| Some((tile, column, known.get(hash)?)))?;
        let place = if self.tiles.len() == 1 { String::new() } else { format!(" of square block {tile}") };
        let text = format!(
            "row {row} and column {column}{place} have the same magnitudes: symmetric or transposed?"
        );
        chance.is_small(self.width, self.rows.len() + self.columns.len()).then_some(text)
    }
}

/// The frequencies of the magnitudes in a sample of values. They give the probability that two sets of values have the
/// same magnitudes by chance.
struct Chance<'a> {
    /// For each value of the sample, the hash of its magnitude.
    magnitudes: &'a [u64],
    /// The result of [`Chance::frequencies`]. It is computed only if it is needed, which is rare.
    frequencies: OnceCell<Vec<(f64, f64)>>,
}

impl<'a> Chance<'a> {
    /// Returns the frequencies of the magnitudes in a sample of values. `magnitudes` has one hash for each value of the
    /// sample: the hash of its magnitude.
    fn new(magnitudes: &'a [u64]) -> Self {
        Self { magnitudes, frequencies: OnceCell::new() }
    }

    /// Returns pairs: a relative frequency, and the number of distinct magnitudes with this frequency. For the
    /// magnitudes 1, 1, 2, 3, the pairs are (0.25, 2) and (0.5, 1).
    fn frequencies(&self) -> Vec<(f64, f64)> {
        let mut sorted = self.magnitudes.to_vec();
        sorted.sort_unstable();
        let mut counts: Vec<usize> = sorted.chunk_by(|a, b| a == b).map(<[u64]>::len).collect();
        counts.sort_unstable();
        let groups = counts.chunk_by(|a, b| a == b);
        let total = self.magnitudes.len() as f64;
        groups.map(|group| (group[0] as f64 / total, group.len() as f64)).collect()
    }

    /// Returns whether equal magnitudes are practically impossible by chance. `sets` sets of `length` random values are
    /// compared. The probability that any two sets have the same magnitudes must be below 2^-40.
    fn is_small(&self, length: usize, sets: usize) -> bool {
        // For each magnitude, the number of values that have it is treated as an independent Poisson variable.
        let of_one =
            |&(frequency, count): &(f64, f64)| count * bits_of_equal_counts(frequency * length as f64);
        let bits: f64 = self.frequencies.get_or_init(|| self.frequencies()).iter().map(of_one).sum();
        bits >= 40.0 + 2.0 * (sets.max(1) as f64).log2()
    }
}

/// Returns -log2 of the probability that two independent Poisson variables of mean m are equal. The probability is
/// `exp(-2 m) * I0(2 m)` (Skellam 1946). I0 is the modified Bessel function of order 0. Above 2 m = 12, its asymptotic
/// expansion is used.
fn bits_of_equal_counts(mean: f64) -> f64 {
    let x = 2.0 * mean;
    let nats = if x > 12.0 {
        0.5 * (std::f64::consts::TAU * x).ln() - 1.0 / (8.0 * x)
    } else {
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..40 {
            term *= (x / 2.0 / f64::from(k)).powi(2);
            sum += term;
        }
        x - f64::ln(sum)
    };
    nats / std::f64::consts::LN_2
}

/// Like [`lines`], for blocks of rows or blocks of columns. The matrix is divided into 2 to `MAX_BLOCKS` blocks of
/// equal size.
fn blocks(name: &str, lines: &[u64], length: usize, chance: &Chance<'_>) -> Option<String> {
    let sum = |lines: &[u64]| lines.iter().fold(0u64, |sum, line| sum.wrapping_add(*line));
    for count in 2..=MAX_BLOCKS {
        let size = lines.len() / count;
        if !lines.len().is_multiple_of(count) || size <= 1 {
            continue;
        }
        let sums: Vec<u64> = lines.chunks(size).map(sum).collect();
        if let Some((a, b)) = equal(&sums).filter(|_| chance.is_small(size * length, count)) {
            return Some(format!(
                "blocks {a} and {b} of {count} along the {name} have the same magnitudes: negated, permuted or repeated?"
            ));
        }
    }
    None
}

/// Returns a message if two rows or two columns have the same magnitudes, unless chance explains this. `name` is "rows"
/// or "columns". `lines` contains the hashes of the rows or columns. `length` is the number of values in each.
fn lines(name: &str, lines: &[u64], length: usize, chance: &Chance<'_>) -> Option<String> {
    let (a, b) = equal(lines).filter(|_| chance.is_small(length, lines.len()))?;
    Some(format!("{name} {a} and {b} have the same magnitudes: negated, permuted or repeated?"))
}

/// Returns the indices of two equal hashes, or `None` if all hashes differ.
fn equal(hashes: &[u64]) -> Option<(usize, usize)> {
    let mut sorted: Vec<(u64, usize)> = hashes.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let pairs = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.map(|pair| (pair[0].1, pair[1].1)).min()
}
