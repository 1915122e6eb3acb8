//! Tests whether the values of a tensor are independent of one another, whatever their distribution.
//!
//! The values are standardized: the mean is subtracted, and the result is divided by the standard deviation. A large
//! tensor is divided into parts of consecutive rows, which are tested on several threads.
//!
//! | test | what it finds |
//! |---|---|
//! | `spectrum`, `norm` | low rank, large singular values, correlated rows or columns ([`spectrum`]) |
//! | `rows`, `columns`, `slices` | lines with another scale or mean ([`lines`]) |
//! | `correlation`, `symmetry` | correlated neighbours, lines at a distance, transposed positions ([`lags`]) |
//! | `repeats` | negated, permuted and transposed copies ([`magnitudes`]) |
//! | `rounded` | values of a narrower type ([`coarser_type`]) |

mod coarser_type;
mod lags;
mod lines;
mod magnitudes;
mod matrix;
mod spectrum;
mod tracy_widom;

use fanin::DType;

use super::distribution::Moments;
use super::tensor_view::matrix;
use super::test_result::TestResult;
use coarser_type::CoarserType;
use lines::Lines;
use magnitudes::Magnitudes;
use matrix::{LIGHT_TAILED, Matrix};

/// The smallest number of values that is tested.
pub(crate) const MIN_VALUES: usize = 64;

/// The largest kurtosis of values whose sums are tested. Of values with a larger one, most are rounded to one value.
const MAX_KURTOSIS: f64 = 6.0;

/// A test of the structure of a tensor, or of some of its rows. The values are added chunk by chunk.
#[derive(Debug)]
pub(crate) struct Structure {
    /// The shape of the rows that are added.
    shape: Vec<usize>,
    moments: Moments,
    dtype: DType,
    /// Whether sums over the values are tested. Otherwise only copies and rounding are, because the values are far from
    /// normal, not finite, or all equal in a part.
    sums: bool,
    values: Vec<f32>,
    lines: Lines,
    magnitudes: Option<Magnitudes>,
    coarser: CoarserType,
    results: Vec<TestResult>,
}

/// The tensor that is tested, or the rows of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The shape of the whole tensor.
    pub(crate) whole: &'a [usize],
    /// The shape of the rows that are added.
    pub(crate) shape: &'a [usize],
    /// The row-major index of the first value that is added.
    pub(crate) first: usize,
    /// The type of the values.
    pub(crate) dtype: DType,
    /// The mean and the standard deviation, and the higher moments.
    pub(crate) moments: Moments,
}

impl Structure {
    /// Returns a test to which no values are added yet.
    pub(crate) fn new(subject: Subject<'_>) -> Self {
        let Subject { whole, shape, first, dtype, moments } = subject;
        let (rows, width) = matrix(whole);
        let sums = moments.kurtosis < MAX_KURTOSIS && rows > 0;
        Self {
            shape: shape.to_vec(),
            moments,
            dtype,
            sums,
            values: Vec::with_capacity(if sums { shape.iter().product() } else { 0 }),
            lines: Lines::default(),
            magnitudes: (rows > 0).then(|| Magnitudes::new(rows, width, first)),
            coarser: CoarserType::default(),
            results: Vec::new(),
        }
    }

    /// Adds the next values. `stored` are the values of the tensor, and `values` those with the known moments. They
    /// differ if the plan applies functions.
    pub(crate) fn add(&mut self, stored: &[f64], values: &[f64]) {
        if let Some(magnitudes) = &mut self.magnitudes {
            magnitudes.add(stored);
        }
        if self.dtype.size() >= 4 {
            self.coarser.add(stored);
        }
        if !self.sums {
            return;
        }
        let (mean, inverse) = (self.moments.mean, 1.0 / self.moments.std);
        self.values.extend(values.iter().map(|x| ((x - mean) * inverse) as f32));
    }

    /// Tests the values that were added. No values can be added afterwards.
    pub(crate) fn finish(&mut self) {
        let values = std::mem::take(&mut self.values);
        let (&[rows, ..], true) = (&self.shape[..], self.sums) else { return };
        // A value that is NaN or infinite has its own test, and would spoil all sums.
        if values.len() < MIN_VALUES || values.iter().any(|x| x.is_nan() || x.abs() >= 1e6) {
            self.sums = false;
            return;
        }
        let (columns, skewness) = (values.len() / rows, self.moments.skewness);
        let matrix = Matrix { shape: &self.shape, rows, columns, skewness, values: &values };
        // Values that are all equal have another test.
        if matrix.mean_square() == 0.0 {
            self.sums = false;
            return;
        }
        // For values with heavier tails, the limits of random matrices hold only for larger ones.
        if self.moments.kurtosis < LIGHT_TAILED {
            self.results.extend(spectrum::tests(&matrix));
        }
        self.results.extend(lags::tests(&matrix));
        self.lines = Lines::new(&self.shape, &values);
    }

    /// Adds the test of the rows that follow.
    pub(crate) fn merge(&mut self, next: Self) {
        self.lines.merge(next.lines);
        self.sums &= next.sums;
        if let (Some(magnitudes), Some(next)) = (&mut self.magnitudes, next.magnitudes) {
            magnitudes.merge(next);
        }
        self.coarser.merge(&next.coarser);
        self.results.extend(next.results);
    }

    /// Returns whether the mean squares of the rows or columns differ between blocks along an axis, and not within them.
    pub(crate) fn is_alike_in_blocks(&self, shape: &[usize], axis: usize, count: usize) -> bool {
        self.sums && self.lines.is_alike_in_blocks(shape, axis, count)
    }

    /// Returns the results of all tests of a tensor of this shape, whose values have these moments. A test that was made
    /// for several parts has one result, whose p-value is the smallest one times the number of parts.
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
        results.extend(self.magnitudes.as_ref().and_then(Magnitudes::test));
        results.extend(self.coarser.test(self.dtype));
        results
    }
}
