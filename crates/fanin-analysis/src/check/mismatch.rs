//! Counts the values of a tensor that differ from the expected values.

use super::test_result::TestResult;

/// The differences between the values of a tensor and their expected values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Mismatch {
    /// The number of values that differ.
    pub(crate) count: u64,
    /// The first value that differs; `None` if no value differs.
    first: Option<FirstMismatch>,
    /// The largest distance between a value and its expected value. Infinite if one of these values is not finite.
    largest: f64,
}

/// The first value that differs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FirstMismatch {
    /// The row-major index of the value.
    index: usize,
    expected: f64,
    found: f64,
}

impl Mismatch {
    /// Adds a value that differs from its expected value. Values must be added in the order of their indices.
    pub(crate) fn add(&mut self, index: usize, expected: f64, found: f64) {
        let distance = (expected - found).abs();
        self.count += 1;
        self.first.get_or_insert(FirstMismatch { index, expected, found });
        self.largest = self.largest.max(if distance.is_nan() { f64::INFINITY } else { distance });
    }

    /// Returns a failed test `exact`, for values that do not depend on a seed. Returns `None` if no value differs.
    /// `values` is the number of compared values.
    pub(crate) fn exact_failure(&self, values: usize) -> Option<TestResult> {
        let FirstMismatch { index, expected, found } = self.first?;
        let text = format!(
            "values that differ from the plan: {} of {values}; first at index {index}: expected {expected}, got {found}",
            self.count
        );
        Some(TestResult::failure("exact", text))
    }

    /// Returns a failed test `bits`, for values that depend on a seed. Returns `None` if no value differs. `values` is
    /// the number of compared values.
    pub(crate) fn seed_failure(&self, values: usize) -> Option<TestResult> {
        let FirstMismatch { index, expected, found } = self.first?;
        let text = format!(
            "values that differ from the seed's: {} of {values}, by up to {:.3e}; first at index {index}: expected \
             {expected}, got {found}",
            self.count, self.largest
        );
        Some(TestResult::failure("bits", text))
    }
}
