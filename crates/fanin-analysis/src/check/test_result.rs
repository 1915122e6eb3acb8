//! The result of one test.

use serde::Serialize;

/// The result of one test of a tensor's values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// The name of the test, such as `mean` or `zeros`.
    pub test: &'static str,
    /// The p-value, 0 to 1: the probability of a deviation at least this large if the distribution is right. 0 means
    /// that the deviation is impossible.
    #[serde(rename = "p")]
    pub p_value: f64,
    /// What was found, and what was expected.
    pub text: String,
}

impl TestResult {
    /// Returns a result whose p-value is clamped to 0 to 1: upper bounds of probabilities may exceed 1.
    pub(crate) fn new(test: &'static str, p_value: f64, text: String) -> Self {
        Self { test, p_value: p_value.clamp(0.0, 1.0), text }
    }

    /// Returns the result of a test that failed with certainty: its p-value is 0.
    pub(crate) fn failure(test: &'static str, text: String) -> Self {
        Self { test, p_value: 0.0, text }
    }
}
