//! The result of one test.

use serde::Serialize;

/// The result of one test of a tensor's values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// The name of the test, such as `mean` or `zeros`.
    pub test: &'static str,
    /// The p-value, or an upper bound of it, from 0 to 1. The p-value is the probability that correct values deviate at
    /// least as much as the tested values. If it is 0, correct values cannot deviate as much.
    #[serde(rename = "p")]
    pub p_value: f64,
    /// A message that says what was found and, for most tests, what was expected.
    pub text: String,
}

impl TestResult {
    /// Returns the result of a test. The p-value is clamped to the range from 0 to 1, because an upper bound on a
    /// p-value may exceed 1.
    pub(crate) fn new(test: &'static str, p_value: f64, text: String) -> Self {
        Self { test, p_value: p_value.clamp(0.0, 1.0), text }
    }

    /// Returns a failed result with a p-value of 0, for a deviation that cannot be by chance.
    pub(crate) fn failure(test: &'static str, text: String) -> Self {
        Self { test, p_value: 0.0, text }
    }
}
