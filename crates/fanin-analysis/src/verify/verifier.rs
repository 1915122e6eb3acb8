//! The verifier, which tests the tensors of a checkpoint one after another.

use std::collections::{BTreeMap, HashMap};

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text::counted;
use fanin_recipe::{Planned, StoredType};

use super::verified_tensor::VerifiedTensor;
use crate::check::TestResult;
use crate::check::bits::{ExpectedValues, compare_integers};
use crate::check::p_value::standardized_sum;
use crate::check::reference::ReferenceCache;
use crate::check::tensor::ViewTests;
use crate::check::tensor_view::{PlannedView, TensorView};
use crate::error::Result;

/// The smallest number of values for which equality of two random tensors is a failure. Tensors with fewer values may
/// be equal by chance.
const MIN_DISTINCT: usize = 16;

/// Sums over all tensors of a rule. They are used to test the variance of all these tensors together.
#[derive(Debug, Default)]
struct PooledVariance {
    /// The sum of [`ViewTests::variance_excess`].
    excess: f64,
    /// The variance of `excess` if all values follow their plans.
    variance: f64,
    /// The number of tensors and blocks in the sum.
    tensors: u64,
}

/// Tests the tensors of a checkpoint one after another. Stores hashes and sums for the tests that compare or combine
/// several tensors.
pub(super) struct Verifier<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    /// The plans of all tensors, in the checkpoint's order.
    pub(super) planned: &'a [Planned],
    /// Whether tensors with the same values are expected.
    pub(super) tied: bool,
    pub(super) progress: &'a dyn Progress,
    references: ReferenceCache,
    /// The last random tensor or block with each hash and number of values: the index of the tensor, and the suffix of
    /// the block.
    seen: HashMap<(u64, usize), (usize, String)>,
    /// The pooled variance of each rule, by the pattern of the rule.
    pooled: BTreeMap<&'a str, PooledVariance>,
}

impl<'a> Verifier<'a> {
    /// Returns a verifier that has not tested any tensor yet.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        planned: &'a [Planned],
        tied: bool,
        progress: &'a dyn Progress,
    ) -> Self {
        let (references, seen, pooled) = Default::default();
        Self { checkpoint, planned, tied, progress, references, seen, pooled }
    }

    /// Tests the tensor at this index of the manifest, and adds the results to `verified`. If `expected` is given, the
    /// exact values are compared too.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or if expected values cannot be generated.
    pub(super) fn verify(
        &mut self,
        tensor: usize,
        verified: &mut VerifiedTensor,
        expected: Option<&mut ExpectedValues>,
    ) -> Result {
        let planned = &self.planned[tensor];
        let entry = &planned.entry;
        if let Some(dtype) =
            planned.chosen_dtype.filter(|dtype| StoredType::from_float(*dtype) != entry.dtype)
        {
            verified.fail("dtype", format!("stored as {}, the recipe has {dtype}", entry.dtype));
        }
        if !planned.is_known() {
            return Ok(());
        }
        if planned.plan.is_some() {
            self.test_views(tensor, verified)?;
        } else {
            let mismatch = compare_integers(self.checkpoint, tensor, planned, self.progress)?;
            verified.results.extend(mismatch.exact_failure(entry.values()));
        }
        if let Some(expected) = expected {
            let mismatch = expected.compare(self.checkpoint, tensor, planned, self.progress)?;
            verified.bits = Some(mismatch.count == 0);
            verified.results.extend(mismatch.seed_failure(entry.values()));
        }
        Ok(())
    }

    /// Tests a tensor, or each of its blocks, against its plan.
    fn test_views(&mut self, tensor: usize, verified: &mut VerifiedTensor) -> Result {
        let planned = &self.planned[tensor];
        let Some(plan) = &planned.plan else { return Ok(()) };
        let views = TensorView::all(self.checkpoint, tensor, plan);
        for view in &views {
            let tests = ViewTests::new(&view.view, view.plan, &mut self.references, self.progress)?;
            let prefix =
                if view.suffix.is_empty() { String::new() } else { format!("block {}: ", view.suffix) };
            verified.results.extend(tests.results.into_iter().map(|result| {
                let text = format!("{prefix}{}", result.text);
                TestResult { text, ..result }
            }));
            if let Some(twin) = tests.hash.and_then(|hash| self.twin(tensor, view, hash)) {
                verified.fail("repeats", format!("{prefix}has exactly the same values as {twin}"));
            }
            if let Some((excess, variance)) = tests.variance_excess.filter(|_| planned.tied.is_none()) {
                let pool = self.pooled.entry(&planned.pattern).or_default();
                pool.excess += excess;
                pool.variance += variance;
                pool.tensors += 1;
            }
        }
        let outside = TensorView::nonzero_outside(self.checkpoint, tensor, &views)?;
        if outside > 0 {
            let text = format!("{} outside of the blocks, expected 0", counted(outside, "non-zero value"));
            verified.fail("exact", text);
        }
        Ok(())
    }

    /// Stores the hash of a view's values, and returns the name of the last earlier view with the same values. Returns
    /// `None` if no earlier view has the same values. Also returns `None`, and stores nothing, if equal values are
    /// expected or if the view has fewer than `MIN_DISTINCT` values.
    fn twin(&mut self, tensor: usize, view: &PlannedView<'_, '_>, hash: u64) -> Option<String> {
        let expected = self.tied || self.planned[tensor].tied.is_some();
        if expected || view.plan.len() < MIN_DISTINCT {
            return None;
        }
        let key = (hash, view.plan.len());
        let (twin, suffix) = self.seen.insert(key, (tensor, view.suffix.to_owned()))?;
        Some(format!("{}{suffix}", self.planned[twin].entry.name))
    }

    /// Tests the std of all tensors and blocks of a rule together. Returns one result for each rule that has more than
    /// one tensor or block.
    pub(super) fn pooled_results(&self) -> Vec<TestResult> {
        let rules = self.pooled.iter().filter(|(_, pool)| pool.tensors > 1);
        rules
            .map(|(rule, PooledVariance { excess, variance, tensors })| {
                let z = excess / variance.sqrt();
                let text = format!(
                    "rule {rule:?}: the std of its {tensors} tensors or blocks together is {z:+.1} standard errors off"
                );
                // The sum of many terms is nearly normal. The correction assumes that the terms have a skewness of 2.
                TestResult::new("std of a rule", standardized_sum(z, 2.0, *variance), text)
            })
            .collect()
    }
}
