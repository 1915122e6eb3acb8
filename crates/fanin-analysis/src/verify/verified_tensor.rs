//! The results of one tensor.

use fanin_recipe::Planned;

use crate::check::TestResult;

/// The results of the tests of one tensor.
#[derive(Debug)]
pub struct VerifiedTensor {
    /// The tensor's plan by the recipe.
    pub planned: Planned,
    /// The results of all tests.
    pub results: Vec<TestResult>,
    /// The results that deviate: those whose p-value is below the threshold.
    pub deviations: Vec<TestResult>,
    /// Whether every value is bitwise equal to that of the stream; `None` if this was not tested.
    pub bits: Option<bool>,
}

impl VerifiedTensor {
    /// Returns a tensor without results.
    pub(super) fn new(planned: &Planned) -> Self {
        Self { planned: planned.clone(), results: Vec::new(), deviations: Vec::new(), bits: None }
    }

    /// Adds the result of a test that failed with certainty.
    pub(super) fn fail(&mut self, test: &'static str, text: String) {
        self.results.push(TestResult::failure(test, text));
    }
}
