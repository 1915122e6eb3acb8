//! The results of testing one tensor.

use fanin_recipe::Planned;

use crate::check::TestResult;

/// The results of the tests of one tensor.
#[derive(Debug)]
pub struct VerifiedTensor {
    /// The plan that the recipe gives for the tensor.
    pub planned: Planned,
    /// The results of all tests.
    pub results: Vec<TestResult>,
    /// The results of failed tests: their p-value is below [`Verification::threshold`](super::Verification::threshold).
    pub deviations: Vec<TestResult>,
    /// Whether every value agrees with the value that the seed gives. `None` if the values were not compared.
    pub bits: Option<bool>,
    /// Why the values were not checked. `None` if the values were checked.
    pub unchecked: Option<String>,
}

impl VerifiedTensor {
    /// Returns a tensor that has no results yet.
    pub(super) fn new(planned: &Planned) -> Self {
        let (results, deviations) = (Vec::new(), Vec::new());
        Self { planned: planned.clone(), results, deviations, bits: None, unchecked: None }
    }

    /// Adds a failed result of the test named `test`, with a p-value of 0.
    pub(super) fn fail(&mut self, test: &'static str, text: String) {
        self.results.push(TestResult::failure(test, text));
    }
}
