//! Tests the tensors of a checkpoint.

use std::collections::{BTreeMap, HashMap};

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text::counted;
use fanin_recipe::{Action, Copy, Planned, Recipe, StoredType};

use super::copied::Copied;
use super::request::Request;
use super::verified_tensor::VerifiedTensor;
use crate::check::TestResult;
use crate::check::bits::{ExpectedValues, compare_integers};
use crate::check::each_tensor::each_tensor;
use crate::check::p_value::standardized_sum;
use crate::check::reference::References;
use crate::check::related::{Signed, relations};
use crate::check::sample::in_standard_errors;
use crate::check::signature::Signature;
use crate::check::tensor::ViewTests;
use crate::check::tensor_view::TensorView;
use crate::error::Result;
use crate::parallel::try_map;

/// The smallest number of values for which random tensors are compared with each other. Smaller tensors may be equal by
/// chance.
const MIN_DISTINCT: usize = 16;

/// Sums over all tensors of one recipe rule, for a test of their pooled standard deviation.
#[derive(Debug, Default)]
struct PooledVariance {
    /// The sum of z^2 - 1 over all standardized values z. See [`ViewTests::variance_excess`].
    excess: f64,
    /// The variance that `excess` has if all values follow their plans.
    variance: f64,
    /// The number of tensors and blocks over which `excess` is summed.
    tensors: u64,
}

/// Statistics of one tensor or block. They are used by the statistical tests that combine several tensors, such as the
/// test of the pooled standard deviation.
struct Outcome {
    /// The text after the tensor's name that identifies the block, such as `[2][0]`. Empty for a whole tensor.
    suffix: String,
    /// The number of values.
    values: usize,
    /// See [`ViewTests::hash`].
    hash: Option<u64>,
    /// See [`ViewTests::signature`].
    signature: Option<Signature>,
    /// See [`ViewTests::variance_excess`].
    variance_excess: Option<(f64, f64)>,
}

/// Tests the tensors of a checkpoint.
pub(super) struct Verifier<'a> {
    checkpoint: &'a Checkpoint,
    /// The plans of all tensors, in the checkpoint's order.
    planned: &'a [Planned],
    recipe: &'a Recipe,
    /// The checkpoint from which the recipe copies tensors. `None` if the caller did not give this checkpoint.
    copied: Option<&'a Checkpoint>,
    /// Whether tensors with the same values are expected.
    tied: bool,
    progress: &'a dyn Progress,
    references: References,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        planned: &'a [Planned],
        request: &Request<'a>,
        progress: &'a dyn Progress,
    ) -> Self {
        let references = References::new(planned.iter().filter_map(|planned| planned.plan.as_ref()));
        let Request { recipe, copied, tied, .. } = *request;
        Self { checkpoint, planned, recipe, copied, tied, progress, references }
    }

    /// Tests all tensors, and adds the results to `tensors`. Returns the results of the tests that combine several
    /// tensors, such as the pooled standard deviation of a rule.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn verify(&self, tensors: &mut [VerifiedTensor]) -> Result<Vec<TestResult>> {
        let all = tensors.iter_mut().collect();
        let outcomes =
            each_tensor(self.checkpoint, all, |tensor, verified| self.verify_one(tensor, verified))?;
        let mut pooled: BTreeMap<&str, PooledVariance> = BTreeMap::new();
        for (planned, outcomes) in
            self.planned.iter().zip(&outcomes).filter(|(planned, _)| planned.tied.is_none())
        {
            for (excess, variance) in outcomes.iter().filter_map(|outcome| outcome.variance_excess) {
                let pool = pooled.entry(&planned.pattern).or_default();
                pool.excess += excess;
                pool.variance += variance;
                pool.tensors += 1;
            }
        }
        let mut results = pooled_results(&pooled);
        if !self.tied {
            results.extend(self.compare_tensors(outcomes, tensors));
        }
        Ok(results)
    }

    /// Compares all values with the values that `expected` generates, and adds the results to `tensors`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if expected values cannot be generated.
    pub(super) fn compare_bits(
        &self,
        tensors: &mut [VerifiedTensor],
        mut expected: ExpectedValues,
    ) -> Result {
        let compare = |expected: &mut ExpectedValues, tensor: usize, verified: &mut VerifiedTensor| {
            let planned = &self.planned[tensor];
            if planned.is_known() {
                let mismatch = expected.compare(self.checkpoint, tensor, planned, self.progress)?;
                verified.bits = Some(mismatch.count == 0);
                verified.results.extend(mismatch.seed_failure(planned.entry.values()));
            }
            Ok(())
        };
        if let ExpectedValues::Native(native) = expected {
            let all = tensors.iter_mut().collect();
            let native =
                |tensor, verified: &mut _| compare(&mut ExpectedValues::Native(native), tensor, verified);
            return each_tensor(self.checkpoint, all, native).map(drop);
        }
        let mut tensors = tensors.iter_mut().enumerate();
        tensors.try_for_each(|(tensor, verified)| compare(&mut expected, tensor, verified))
    }

    /// Tests the tensor at index `tensor` of the manifest.
    fn verify_one(&self, tensor: usize, verified: &mut VerifiedTensor) -> Result<Vec<Outcome>> {
        let planned = &self.planned[tensor];
        let entry = &planned.entry;
        if let Some(dtype) =
            planned.chosen_dtype.filter(|dtype| StoredType::from_float(*dtype) != entry.dtype)
        {
            verified.fail("dtype", format!("stored as {}, the recipe has {dtype}", entry.dtype));
        }
        match &planned.action {
            Action::Copy(copy) => self.compare_copy(tensor, copy, verified)?,
            Action::Skip => {
                verified.unchecked.get_or_insert_with(|| "the recipe skips it".to_owned());
            }
            _ if planned.plan.is_some() => return self.test_views(tensor, verified),
            _ => {
                let mismatch = compare_integers(self.checkpoint, tensor, planned, self.progress)?;
                verified.results.extend(mismatch.exact_failure(entry.values()));
            }
        }
        Ok(Vec::new())
    }

    /// Compares a copied tensor with the checkpoint from which it was copied, bit for bit.
    fn compare_copy(&self, tensor: usize, copy: &Copy, verified: &mut VerifiedTensor) -> Result {
        let Some(source) = self.copied else {
            let text = "the recipe copies it, and no checkpoint to compare it with was given";
            verified.unchecked = Some(text.to_owned());
            return Ok(());
        };
        let name = self.planned[tensor].entry.name.as_str();
        let names = [name, self.recipe.canonical_name(name)];
        let copied = Copied { checkpoint: self.checkpoint, source, progress: self.progress };
        copied.compare(tensor, copy, names, verified)
    }

    /// Tests a tensor, or each of its blocks, against its plan.
    fn test_views(&self, tensor: usize, verified: &mut VerifiedTensor) -> Result<Vec<Outcome>> {
        let planned = &self.planned[tensor];
        let Some(plan) = &planned.plan else { return Ok(Vec::new()) };
        let views = TensorView::all(self.checkpoint, tensor, plan)?;
        let tests = try_map(views.len(), |n| {
            ViewTests::new(&views[n].view, views[n].plan, &self.references, self.progress)
        })?;
        let mut outcomes = Vec::new();
        for (view, tests) in views.iter().zip(tests) {
            let prefix =
                if view.suffix.is_empty() { String::new() } else { format!("block {}: ", view.suffix) };
            verified.results.extend(tests.results.into_iter().map(|result| {
                let text = format!("{prefix}{}", result.text);
                TestResult { text, ..result }
            }));
            if let Some(text) = tests.unchecked {
                verified.unchecked.get_or_insert(prefix + &text);
            }
            outcomes.push(Outcome {
                suffix: view.suffix.to_owned(),
                values: view.plan.len(),
                hash: tests.hash,
                signature: tests.signature,
                variance_excess: tests.variance_excess,
            });
        }
        let outside = TensorView::nonzero_outside(self.checkpoint, tensor, &views)?;
        if outside > 0 {
            let text = format!("{} outside of the blocks, expected 0", counted(outside, "non-zero value"));
            verified.fail("exact", text);
        }
        Ok(outcomes)
    }

    /// Compares all pairs of tensors and blocks, except tied tensors. If the values of a pair are equal, adds a failed
    /// result of the test `repeats` to the second tensor of the pair, in `tensors`. If the values of a pair are
    /// related, adds a passed or failed result of the test `related` to the second tensor.
    ///
    /// If no pair is related, returns a passed result of the test `related`, so that this test is counted. Returns
    /// `None` if a pair is related, or if fewer than two tensors or blocks are compared.
    fn compare_tensors(
        &self,
        outcomes: Vec<Vec<Outcome>>,
        tensors: &mut [VerifiedTensor],
    ) -> Option<TestResult> {
        let mut seen: HashMap<(u64, usize), String> = HashMap::new();
        let (mut signed, mut owners): (Vec<Signed>, Vec<(usize, String)>) = Default::default();
        for (tensor, outcomes) in outcomes.into_iter().enumerate() {
            if self.planned[tensor].tied.is_some() {
                continue;
            }
            for Outcome { suffix, values, hash, signature, .. } in outcomes {
                let Some(hash) = hash.filter(|_| values >= MIN_DISTINCT) else { continue };
                let name = format!("{}{suffix}", self.planned[tensor].entry.name);
                let prefix = if suffix.is_empty() { String::new() } else { format!("block {suffix}: ") };
                if let Some(twin) = seen.insert((hash, values), name.clone()) {
                    tensors[tensor].fail("repeats", format!("{prefix}has exactly the same values as {twin}"));
                } else if let Some(signature) = signature {
                    signed.push(Signed { name, values, hash, signature });
                    owners.push((tensor, prefix));
                }
            }
        }
        let relations = relations(&signed);
        let passed = relations.is_empty() && signed.len() > 1;
        for relation in relations {
            let (tensor, prefix) = &owners[relation.second];
            let TestResult { test, p_value, text } = relation.result;
            tensors[*tensor].results.push(TestResult::new(test, p_value, format!("{prefix}{text}")));
        }
        passed.then(|| TestResult::new("related", 1.0, "no two tensors are correlated".to_owned()))
    }
}

/// Tests the pooled standard deviation of each rule that has more than one tensor or block.
fn pooled_results(pooled: &BTreeMap<&str, PooledVariance>) -> Vec<TestResult> {
    let rules = pooled.iter().filter(|(_, pool)| pool.tensors > 1);
    rules
        .map(|(rule, PooledVariance { excess, variance, tensors })| {
            let z = excess / variance.sqrt();
            let text = format!(
                "rule {rule:?}: the std of its {tensors} tensors or blocks together is {} off",
                in_standard_errors(z)
            );
            // For normal values, the skewness of `excess` is 4 / sqrt(variance). Uniform and truncated normal values
            // have a smaller skewness. Their p-value is therefore an upper bound.
            TestResult::new("std of a rule", standardized_sum(z, 4.0, *variance), text)
        })
        .collect()
}
