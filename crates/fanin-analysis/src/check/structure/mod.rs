//! Tests whether the values of a tensor are independent of one another. The tests need only the moments of the
//! distribution of the values.
//!
//! The values are standardized: the mean is subtracted, and the result is divided by the standard deviation. A large
//! tensor is divided into parts of consecutive rows, which are tested on several threads.
//!
//! | test | what it finds |
//! |---|---|
//! | `spectrum`, `norm` | low rank, large singular values, correlated rows or columns ([`spectrum`]) |
//! | `rows`, `columns`, `slices` | rows, columns or slices whose mean or mean square differs from the others ([`lines`]) |
//! | `correlation`, `symmetry` | correlated values at neighbouring or transposed positions, correlated rows or columns ([`lags`]) |
//! | `rounded` | values that a narrower type represents exactly ([`coarser_type`]) |

mod coarser_type;
mod lags;
mod lines;
mod matrix;
mod part_sums;
mod spectrum;
mod tracy_widom;

use fanin::DType;

use super::distribution::Moments;
use super::tensor_view::matrix;
use super::test_result::TestResult;
use coarser_type::CoarserType;
use lines::Lines;
pub(crate) use matrix::MIN_VALUES;
pub(super) use matrix::dot;
use part_sums::PartSums;

/// Sums over the values are tested only if the kurtosis of the values is below this limit. The kurtosis exceeds this
/// limit, for example, if most values are rounded to one value.
const MAX_KURTOSIS: f64 = 6.0;

/// The tests of the structure of a tensor, or of a range of its rows. Values are added chunk by chunk.
#[derive(Debug)]
pub(crate) struct Structure {
    /// Whether sums over the values are tested. If not, only rounding is tested. `false` if the tensor has fewer than
    /// two axes or no values, if the kurtosis is `MAX_KURTOSIS` or more, or if [`PartSums::finish`] returned `None` for
    /// a range of rows.
    sums: bool,
    /// The sums over the values, until [`finish`](Self::finish) is called.
    part: Option<PartSums>,
    lines: Lines,
    coarser: CoarserType,
    /// The results of the tests `spectrum`, `norm`, `correlation` and `symmetry` for each part of the tensor.
    results: Vec<TestResult>,
}

/// The tensor that is tested, and the range of its rows that one [`Structure`] tests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The shape of the range of rows.
    pub(crate) shape: &'a [usize],
    /// The type of the stored values.
    pub(crate) dtype: DType,
    /// The moments by which the values are standardized.
    pub(crate) moments: Moments,
}

impl Structure {
    /// Creates the tests of `subject`. No values have been added yet.
    pub(crate) fn new(subject: Subject<'_>) -> Self {
        let Subject { shape, dtype, moments } = subject;
        let (rows, _) = matrix(shape);
        let sums = moments.kurtosis < MAX_KURTOSIS && rows > 0;
        Self {
            sums,
            part: sums.then(|| PartSums::new(shape, moments)),
            lines: Lines::default(),
            coarser: CoarserType::new(dtype),
            results: Vec::new(),
        }
    }

    /// Adds the next values in row-major order. The argument `stored` contains the values of the tensor. Only the test
    /// `rounded` uses `stored`. All other tests use the argument `values`. The two arguments differ in two cases:
    /// - The plan applies functions to random values. The argument `values` then contains the random values to which
    ///   the functions were applied.
    /// - The caller replaces outliers. The argument `values` then has the mean in place of each outlier of `stored`.
    pub(crate) fn add(&mut self, stored: &[f64], values: &[f64]) {
        self.coarser.add(stored);
        if let Some(part) = &mut self.part {
            part.add(values);
        }
    }

    /// Runs the tests that need all values of the range of rows at once. No values can be added afterwards.
    pub(crate) fn finish(&mut self) {
        let Some(part) = self.part.take() else { return };
        match part.finish() {
            Some((lines, results)) => (self.lines, self.results) = (lines, results),
            None => self.sums = false,
        }
    }

    /// Merges the tests of `next` into `self`. In the tensor, the rows of `next` must follow the rows of `self`.
    pub(crate) fn merge(&mut self, next: Self) {
        self.lines.merge(next.lines);
        self.sums &= next.sums;
        self.coarser.merge(&next.coarser);
        self.results.extend(next.results);
    }

    /// Returns whether slices along `axis` have equal mean squares within each of `count` blocks of equal size. See
    /// [`Lines::is_alike_in_blocks`].
    pub(crate) fn is_alike_in_blocks(&self, shape: &[usize], axis: usize, count: usize) -> bool {
        self.sums && self.lines.is_alike_in_blocks(shape, axis, count)
    }

    /// Returns at most one result for each test. `shape` and `moments` describe the whole tensor. A test may be made
    /// several times, for several parts of the tensor or several distances. The result then has the smallest of the
    /// p-values, multiplied by the number of p-values (Bonferroni's correction).
    pub(crate) fn tests(&self, shape: &[usize], moments: &Moments) -> Vec<TestResult> {
        let mut results: Vec<TestResult> = Vec::new();
        for name in ["spectrum", "norm", "correlation", "symmetry"] {
            let of_name = || self.results.iter().filter(|result| result.test == name);
            let count = of_name().count() as f64;
            if let Some(worst) = of_name().min_by(|a, b| a.p_value.total_cmp(&b.p_value)) {
                results.push(TestResult::new(worst.test, worst.p_value * count, worst.text.clone()));
            }
        }
        if self.sums && shape.len() >= 2 {
            results.extend(self.lines.tests(shape, moments));
        }
        results.extend(self.coarser.test());
        results
    }
}
