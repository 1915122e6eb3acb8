//! Verifies a whole checkpoint.

use fanin_checkpoint::{Checkpoint, Progress, StreamKind};
use fanin_recipe::{Entry, Manifest, Planned};

use super::request::Request;
use super::verified_tensor::VerifiedTensor;
use super::verifier::Verifier;
use crate::check::bits::ExpectedValues;
use crate::check::{ModelComparison, TestResult};
use crate::error::Result;

/// The results of verifying a checkpoint.
#[derive(Debug)]
pub struct Verification {
    /// The tensors with their results, in the order of the checkpoint.
    pub tensors: Vec<VerifiedTensor>,
    /// The failed tests of the recipe's rules. Such a test combines the standard deviations of all tensors of one rule.
    pub rules: Vec<TestResult>,
    /// The tensors of the model that the checkpoint lacks.
    pub missing: Vec<Entry>,
    /// Whether the checkpoint may lack tensors of the model.
    pub partial: bool,
    /// The total number of tests of tensors and rules.
    pub tests: usize,
    /// The p-value below which a test fails. It is `alpha / tests` (the Bonferroni correction).
    pub threshold: f64,
    /// The largest acceptable probability that a correct checkpoint fails.
    pub alpha: f64,
    /// Whether the values were compared with the exact values that the requested seed gives.
    pub bits_compared: bool,
    /// The stream and the seed in the file's metadata. `Some` only if they are not the requested ones, and the exact
    /// comparison found a difference. `None` if the metadata does not have them.
    pub recorded: Option<(StreamKind, u64)>,
}

impl Verification {
    /// Compares a checkpoint with a recipe. Tensors are tested on several threads. `progress` counts the values that
    /// are read. With a seed, the exact comparison reads the values a second time, and `progress` counts them again.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read, or if the recipe does not fit the checkpoint.
    pub fn new(checkpoint: &Checkpoint, request: Request<'_>, progress: &dyn Progress) -> Result<Self> {
        let manifest = &checkpoint.manifest;
        let comparison =
            ModelComparison::new(request.recipe, request.settings, manifest, request.model.clone())?;
        let expected = expected_values(&request, &comparison)?;
        let ModelComparison { planned, mismatches, missing, .. } = comparison;

        let verifier = Verifier::new(checkpoint, &planned, &request, progress);
        let mut tensors: Vec<VerifiedTensor> = planned.iter().map(VerifiedTensor::new).collect();
        for mismatch in mismatches {
            tensors[mismatch.tensor].fail(mismatch.test, mismatch.text);
            tensors[mismatch.tensor].unchecked = Some("the tensor does not match the model".to_owned());
        }
        let pooled = verifier.verify(&mut tensors)?;
        if let Some(expected) = expected {
            verifier.compare_bits(&mut tensors, expected)?;
        }

        // Bonferroni correction: the probability of at least one false alarm is at most alpha.
        let tests = tensors.iter().map(|tensor| tensor.results.len()).sum::<usize>() + pooled.len();
        let threshold = request.alpha / tests.max(1) as f64;
        let deviates = |result: &TestResult| result.p_value < threshold;
        for tensor in &mut tensors {
            tensor.deviations = tensor.results.iter().filter(|result| deviates(result)).cloned().collect();
        }
        let rules = pooled.into_iter().filter(deviates).collect();
        let recorded = recorded_elsewhere(manifest, &request, &tensors);
        let Request { alpha, partial, seed, .. } = request;
        let bits_compared = seed.is_some();
        Ok(Self { tensors, rules, missing, partial, tests, threshold, alpha, bits_compared, recorded })
    }

    /// Returns the number of tensors that failed a test.
    pub fn failed(&self) -> usize {
        self.tensors.iter().filter(|tensor| !tensor.deviations.is_empty()).count()
    }

    /// Returns the tensors whose values were not checked.
    pub fn unchecked(&self) -> impl Iterator<Item = &VerifiedTensor> {
        self.tensors.iter().filter(|tensor| tensor.unchecked.is_some())
    }

    /// Returns whether the checkpoint matches its recipe.
    pub fn is_ok(&self) -> bool {
        self.failed() == 0 && self.rules.is_empty() && (self.partial || self.missing.is_empty())
    }
}

/// Returns an object that computes the expected values, or `None` if the request has no seed.
fn expected_values(request: &Request<'_>, comparison: &ModelComparison) -> Result<Option<ExpectedValues>> {
    let Some(seed) = request.seed else { return Ok(None) };
    let planned: &[Planned] = &comparison.planned;
    // In the torch stream, the values of a tensor depend on the tensors that are drawn before it. A model that the
    // caller gave determines these tensors and their order. A built-in model does so only if the file's tensors are in
    // the same order. Otherwise the file may come from another list of tensors, so the file's own tensors are drawn.
    let has_model = !comparison.model.is_empty();
    let in_model_order = has_model && (request.model_given || comparison.is_in_model_order());
    if request.stream == StreamKind::Torch && in_model_order {
        return ExpectedValues::torch_in_model_order(&comparison.model, seed).map(Some);
    }
    Ok(Some(ExpectedValues::new(request.stream, seed, planned)))
}

/// Returns the value of [`Verification::recorded`].
fn recorded_elsewhere(
    manifest: &Manifest,
    request: &Request<'_>,
    tensors: &[VerifiedTensor],
) -> Option<(StreamKind, u64)> {
    let stream = StreamKind::from_name(manifest.metadata("fanin.stream")?)?;
    let seed = manifest.metadata("fanin.seed")?.parse().ok()?;
    let differs = tensors.iter().any(|tensor| tensor.bits == Some(false));
    (differs && (stream != request.stream || Some(seed) != request.seed)).then_some((stream, seed))
}
