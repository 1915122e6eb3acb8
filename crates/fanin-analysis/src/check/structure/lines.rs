//! Tests whether the rows, columns and slices of a tensor have the means and mean squares of independent values.

use super::matrix::{LIGHT_TAILED, inlined_dot, inlined_sum};
use crate::check::distribution::Moments;
use crate::check::p_value::{
    chi_square, chi_square_at_least, corrected_normal, normal_deviate, standardized_sum,
};
use crate::check::test_result::TestResult;
use crate::vectorized::vectorized;

/// A row, column or slice is tested only if it has at least this many values. One of the tested numbers is the sum of
/// the squares of the values. With fewer values, the distribution of this sum is far from normal.
const MIN_LENGTH: usize = 32;

/// The sum and the sum of squares of the standardized values of one line: a row, a column or a slice.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.squares += other.squares;
    }
}

/// The largest number of columns whose sums are stored, and the largest number of slices along the second axis whose
/// sums are stored.
const MAX_LINES: usize = 1 << 20;

/// The sums of the rows, columns and slices of a tensor.
///
/// A slice along an axis has all values with one fixed index along this axis. In a matrix, the rows are the slices
/// along the first axis. In a tensor of three or more axes, a row has all values with fixed indices along the first two
/// axes. A column has one value of each row: the values at the same position in their rows. For example, in a
/// convolution weight of shape `[out, in, height, width]`, a row is one kernel, and a column has the values of all
/// kernels at one kernel position.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The sums of the rows of a tensor of three or more axes. Empty for a matrix: its rows are in the field `first`.
    /// Also empty if a row has fewer than `MIN_LENGTH` values.
    rows: Vec<Sums>,
    /// The sums of the columns. Empty if there are more than `MAX_LINES` columns.
    columns: Vec<Sums>,
    /// The sums of the slices along the first axis.
    first: Vec<Sums>,
    /// The sums of the slices along the second axis of a tensor of three or more axes. Empty if there are more than
    /// `MAX_LINES` slices.
    second: Vec<Sums>,
}

vectorized! {
    /// Returns the sums of each row of `width` values. Also adds the values of column k to `sums[k]`, and their squares
    /// to `squares[k]`, unless both slices are empty.
    fn sums_of_lines(values: &[f32], width: usize, sums: &mut [f64], squares: &mut [f64]) -> Vec<Sums> {
        let mut rows = Vec::with_capacity(values.len() / width);
        for row in values.chunks(width) {
            for ((sum, square), x) in sums.iter_mut().zip(squares.iter_mut()).zip(row) {
                let x = f64::from(*x);
                *sum += x;
                *square += x * x;
            }
            rows.push(Sums { sum: inlined_sum(row), squares: inlined_dot(row, row) });
        }
        rows
    }
}

/// The sums of rows, columns and slices while values are being added.
#[derive(Debug)]
pub(super) struct UnfinishedLines {
    /// The sums of the rows and slices.
    lines: Lines,
    /// The sum of each column. Empty if there are more than `MAX_LINES` columns.
    sums: Vec<f64>,
    /// The sum of the squares of each column.
    squares: Vec<f64>,
    /// The number of values of a row.
    width: usize,
    /// The number of slices along the second axis of a tensor of three or more axes; 1 for a matrix.
    second: usize,
    /// Whether the sums of rows are stored in addition to the sums of slices.
    has_rows: bool,
    /// The number of rows that were passed to [`add`](Self::add) so far.
    added: usize,
}

impl UnfinishedLines {
    /// Creates sums that are all 0. `shape` is the shape of a tensor, or of a range of its slices along the first axis.
    /// It must have two axes or more, and no axis of size 0.
    pub(super) fn new(shape: &[usize]) -> Self {
        let is_deep = shape.len() > 2;
        let second = if is_deep { shape[1] } else { 1 };
        let width = shape[1..].iter().product::<usize>() / second;
        let columns = if width > MAX_LINES { 0 } else { width };
        let lines = Lines {
            second: vec![Sums::default(); if is_deep && second <= MAX_LINES { second } else { 0 }],
            first: vec![Sums::default(); shape[0]],
            ..Lines::default()
        };
        let zeros = vec![0.0; columns];
        let has_rows = is_deep && width >= MIN_LENGTH;
        Self { lines, sums: zeros.clone(), squares: zeros, width, second, has_rows, added: 0 }
    }

    /// Adds the standardized values of one or more complete rows.
    pub(super) fn add(&mut self, values: &[f32]) {
        for sums in sums_of_lines(values, self.width, &mut self.sums, &mut self.squares) {
            self.lines.first[self.added / self.second].add(sums);
            if let Some(slice) = self.lines.second.get_mut(self.added % self.second) {
                slice.add(sums);
            }
            if self.has_rows {
                self.lines.rows.push(sums);
            }
            self.added += 1;
        }
    }

    /// Returns the sums of all lines.
    pub(super) fn finish(self) -> Lines {
        let columns = self.sums.into_iter().zip(self.squares);
        let columns = columns.map(|(sum, squares)| Sums { sum, squares }).collect();
        Lines { columns, ..self.lines }
    }
}

impl Lines {
    /// Adds the sums of `next`. The slices of `next` along the first axis follow those of `self` in the tensor.
    pub(super) fn merge(&mut self, next: Self) {
        let add = |all: &mut Vec<Sums>, next: Vec<Sums>| {
            if all.is_empty() {
                *all = next;
            } else {
                all.iter_mut().zip(next).for_each(|(sums, next)| sums.add(next));
            }
        };
        add(&mut self.columns, next.columns);
        add(&mut self.second, next.second);
        self.first.extend(next.first);
        self.rows.extend(next.rows);
    }

    /// Returns the results of the tests `rows`, `columns` and `slices`. `shape` and `moments` describe the whole
    /// tensor.
    pub(super) fn tests(&self, shape: &[usize], moments: &Moments) -> Vec<TestResult> {
        let count: usize = shape.iter().product();
        let first = if shape.len() > 2 { "slices" } else { "rows" };
        let groups = [
            ("columns", &self.columns),
            (first, &self.first),
            ("slices of axis 1", &self.second),
            ("rows", &self.rows),
        ];
        let test = |(name, lines): (&'static str, &Vec<Sums>)| {
            of_lines(name, lines, count / lines.len().max(1), moments)
        };
        groups.into_iter().filter_map(test).collect()
    }
}

impl Lines {
    /// Returns whether the slices of each block have equal mean squares, up to random differences. Each of the `count`
    /// blocks has the same number of consecutive slices along `axis`. Different blocks may have different mean squares.
    ///
    /// Also returns `false` if the slices cannot be divided equally, if their sums are not stored, or if a slice has
    /// fewer than `MIN_LENGTH` values.
    pub(super) fn is_alike_in_blocks(&self, shape: &[usize], axis: usize, count: usize) -> bool {
        let lines = match axis {
            0 => &self.first,
            1 if shape.len() > 2 => &self.second,
            _ if axis + 1 == shape.len() && shape.len() < 4 => &self.columns,
            _ => return false,
        };
        let total: usize = shape.iter().product();
        let length = total / lines.len().max(1);
        if lines.is_empty() || length < MIN_LENGTH || !lines.len().is_multiple_of(count) {
            return false;
        }
        lines.chunks(lines.len() / count).all(|block| {
            let mean = block.iter().map(|line| line.squares).sum::<f64>() / block.len() as f64;
            let deviations =
                block.iter().map(|line| (line.squares / mean - 1.0).powi(2) * length as f64 / 2.0);
            // The variance of a squared standard normal value is 2. The divisor 1.5 allows for values with heavier
            // tails. For lighter tails, such as those of uniform values, the p-value is too large.
            block.len() == 1 || chi_square_at_least(deviations.sum::<f64>() / 1.5, block.len() as f64) > 1e-6
        })
    }
}

/// Tests whether the means or mean squares of `lines` differ more than those of independent values. `length` is the
/// number of values of a line.
///
/// There are two p-values for the means, and two for the mean squares:
///
/// - The first compares the sum of the squared deviations of all lines with a chi-square distribution.
/// - The second is the p-value of the largest deviation, times the number of lines.
///
/// The p-value of the result is four times the smallest of these four (Bonferroni's correction).
fn of_lines(name: &'static str, lines: &[Sums], length: usize, moments: &Moments) -> Option<TestResult> {
    let min_length = if moments.kurtosis < LIGHT_TAILED { MIN_LENGTH } else { 8 * MIN_LENGTH };
    if lines.len() < 2 || length < min_length {
        return None;
    }
    let (n, count) = (length as f64, lines.len() as f64);
    let variance_of_square = moments.kurtosis - 1.0;
    // If all values have the same magnitude, their squares do not vary.
    if variance_of_square < 1e-6 {
        return None;
    }
    let skewness_of_square = (moments.sixth - 3.0 * moments.kurtosis + 2.0) / variance_of_square.powf(1.5);
    let mean = |line: &Sums| line.sum / n.sqrt();
    let square = |line: &Sums| (line.squares - n) / (n * variance_of_square).sqrt();

    // The sum of the squares of `count` normal deviations is a chi-square variable of `count` degrees of freedom. After
    // the correction by `normal_deviate`, the deviations have an excess kurtosis of at most `kurtosis / n`. This
    // multiplies the variance of the sum by `factor`. The sum is approximated by `factor` times a chi-square variable
    // of `count / factor` degrees of freedom, which has the same mean and variance (Satterthwaite 1946).
    let excess = |deviations: f64, kurtosis: f64| {
        let factor = 1.0 + kurtosis / n / 2.0;
        chi_square_at_least(deviations / factor, count / factor)
    };
    let normal_mean = |line: &Sums| normal_deviate(mean(line), moments.skewness / n.sqrt());
    let normal_square = |line: &Sums| normal_deviate(square(line), skewness_of_square / n.sqrt());
    let of_means = excess(lines.iter().map(|line| normal_mean(line).powi(2)).sum(), 3.0);
    let of_squares = excess(lines.iter().map(|line| normal_square(line).powi(2)).sum(), 6.0);

    let largest = |value: &dyn Fn(&Sums) -> f64| {
        let worst = lines.iter().enumerate().max_by(|a, b| value(a.1).abs().total_cmp(&value(b.1).abs()));
        worst.map_or((0, 0.0), |(index, line)| (index, value(line)))
    };
    let ((mean_at, mean_z), (square_at, square_z)) = (largest(&mean), largest(&square));
    let correction = mean_z.powi(4) / (8.0 * n) + mean_z.powi(3) * moments.skewness / (6.0 * n.sqrt());
    let one_mean = count * corrected_normal(mean_z, correction);
    let one_square = if (moments.kurtosis - 3.0).abs() < 0.03 {
        count * chi_square(lines[square_at].squares, n)
    } else {
        count * standardized_sum(square_z, skewness_of_square, n)
    };

    let root = (lines[square_at].squares / n).sqrt();
    let squares_text = format!(
        "the mean squares differ more than those of independent values: that of {name} {square_at} is {root:.3} std"
    );
    let means_text = format!(
        "the means differ more than those of independent values: that of {name} {mean_at} is {:+.3} std",
        lines[mean_at].sum / n
    );
    let p_values = [
        (of_squares, &squares_text),
        (one_square, &squares_text),
        (of_means, &means_text),
        (one_mean, &means_text),
    ];
    let (p, text) = p_values.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(TestResult::new(name, 4.0 * p, text.clone()))
}
