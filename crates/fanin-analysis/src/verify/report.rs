//! A verification as JSON.

use fanin_checkpoint::StreamKind;
use serde::Serialize;

use super::verification::Verification;
use super::verified_tensor::VerifiedTensor;
use crate::check::TestResult;

/// A verification as JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    file: &'a str,
    /// Whether the checkpoint matches its recipe.
    ok: bool,
    recorded: Option<Recorded>,
    /// The names of the model's tensors that the checkpoint lacks.
    missing: Vec<&'a str>,
    /// The names of the tensors whose values were not checked.
    unchecked: Vec<&'a str>,
    alpha: f64,
    tests: usize,
    threshold: f64,
    tensors: Vec<TensorReport<'a>>,
    /// The failed tests of the recipe's rules. Such a test combines all tensors of one rule.
    rules: &'a [TestResult],
}

#[derive(Debug, Serialize)]
struct Recorded {
    stream: &'static str,
    seed: u64,
}

#[derive(Debug, Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    scheme: String,
    rule: &'a str,
    ok: bool,
    bits: Option<bool>,
    /// Why the values were not checked.
    unchecked: Option<&'a str>,
    tests: &'a [TestResult],
    deviations: &'a [TestResult],
}

impl Verification {
    /// Returns the report of the verification. The report serializes to JSON. `file` is the name of the checkpoint.
    pub fn report<'a>(&'a self, file: &'a str) -> Report<'a> {
        let recorded = |(stream, seed): (StreamKind, u64)| Recorded { stream: stream.name(), seed };
        Report {
            file,
            ok: self.is_ok(),
            recorded: self.recorded.map(recorded),
            missing: self.missing.iter().map(|entry| entry.name.as_str()).collect(),
            unchecked: self.unchecked().map(|tensor| tensor.planned.entry.name.as_str()).collect(),
            alpha: self.alpha,
            tests: self.tests,
            threshold: self.threshold,
            tensors: self.tensors.iter().map(VerifiedTensor::report).collect(),
            rules: &self.rules,
        }
    }
}

impl VerifiedTensor {
    fn report(&self) -> TensorReport<'_> {
        TensorReport {
            name: &self.planned.entry.name,
            scheme: self.planned.action.to_string(),
            rule: &self.planned.pattern,
            ok: self.deviations.is_empty(),
            bits: self.bits,
            unchecked: self.unchecked.as_deref(),
            tests: &self.results,
            deviations: &self.deviations,
        }
    }
}
