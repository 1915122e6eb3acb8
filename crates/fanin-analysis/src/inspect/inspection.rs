//! Inspects the tensors of a checkpoint.

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::{Entry, Manifest, Planned, StoredType};

use super::expected;
use super::spectrum::Spectrum;
use super::warnings;
use crate::check::ModelComparison;
use crate::check::each_tensor::each_tensor;
use crate::check::generate::report_read;
use crate::check::reference::References;
use crate::error::Result;
use crate::stats::Stats;

/// The arguments of an inspection.
#[derive(Debug)]
pub struct Request<'a> {
    /// The name of the file or folder, as the caller gave it.
    pub file: &'a str,
    /// The name of the recipe, as the caller gave it.
    pub recipe: Option<&'a str>,
    /// The plans of the file's tensors by the recipe, and their mismatches with the recipe's model. Without a recipe,
    /// this is `ModelComparison::default()`.
    pub comparison: ModelComparison,
    /// Whether to compute singular values. This takes most of the time of an inspection.
    pub spectra: bool,
}

/// The result of inspecting a checkpoint.
#[derive(Debug)]
pub struct Inspection {
    /// The name of the file or folder, as the caller gave it.
    pub file: String,
    /// The name of the recipe, as the caller gave it.
    pub recipe: Option<String>,
    /// The names, types and shapes of the tensors, and the file's metadata.
    pub manifest: Manifest,
    /// The tensors, in the manifest's order.
    pub tensors: Vec<TensorInspection>,
    /// The tensors of the recipe's model that the checkpoint lacks.
    pub missing: Vec<Entry>,
}

/// The text of the warning about a tensor of the model that the checkpoint lacks.
pub const MISSING: &str = "the model has this tensor, but the checkpoint does not";

/// The result of inspecting a tensor.
#[derive(Debug)]
pub struct TensorInspection {
    /// The tensor's name, type and shape.
    pub entry: Entry,
    /// The tensor's plan. `None` if there is no recipe, or if the recipe does not define the tensor's values.
    pub planned: Option<Planned>,
    /// The statistics of the tensor's values.
    pub stats: Stats,
    /// The histogram of the tensor's values.
    pub histogram: Histogram,
    /// The tensor's singular values. `None` if they were not requested, or if the tensor is not a matrix of finite
    /// values.
    pub spectrum: Option<Spectrum>,
    /// Messages on properties of the tensor that are probably wrong.
    pub warnings: Vec<String>,
}

/// A histogram with bars of equal width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// The edges of the bars in ascending order. There is one edge more than bars. If all finite values are equal,
    /// there are two equal edges. If no value is finite, there are no edges and no bars.
    pub edges: Vec<f64>,
    /// The number of values in each bar.
    pub counts: Vec<u64>,
    /// The expected number of values in each bar by the plan. `None` if there is no plan, or if its distribution has no
    /// density.
    pub planned: Option<Vec<f64>>,
}

/// The total size of several tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// The number of tensors.
    pub tensors: u64,
    /// The number of values.
    pub values: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl Inspection {
    /// Inspects a checkpoint. All values are read once. If [`Request::spectra`] is `true`, matrices are read a second
    /// time, and `progress` counts the bytes of every tensor twice.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read.
    pub fn new(checkpoint: &Checkpoint, request: Request<'_>, progress: &dyn Progress) -> Result<Self> {
        let ModelComparison { planned, mismatches, missing, .. } = request.comparison;
        let references = References::new(planned.iter().filter_map(|planned| planned.plan.as_ref()));
        let mut plans = planned.into_iter();
        let count = checkpoint.manifest.entries.len();
        let plans: Vec<Option<Planned>> =
            (0..count).map(|_| plans.next().filter(Planned::is_known)).collect();
        let inspect = |tensor, planned| {
            TensorInspection::new(checkpoint, tensor, planned, &references, request.spectra, progress)
        };
        let mut tensors = each_tensor(checkpoint, plans, inspect)?;
        for mismatch in mismatches {
            tensors[mismatch.tensor].warnings.push(mismatch.text);
        }
        Ok(Self {
            file: request.file.to_owned(),
            recipe: request.recipe.map(str::to_owned),
            manifest: checkpoint.manifest.clone(),
            tensors,
            missing,
        })
    }

    /// Returns the total size of all tensors.
    pub fn total(&self) -> Total {
        self.sum(|_| true)
    }

    /// Returns the total size of the tensors of each type. The type with the most bytes is first.
    pub fn by_type(&self) -> Vec<(StoredType, Total)> {
        let mut types: Vec<(StoredType, Total)> = Vec::new();
        for tensor in &self.tensors {
            let dtype = tensor.entry.dtype;
            if types.iter().all(|(known, _)| *known != dtype) {
                types.push((dtype, self.sum(|entry| entry.dtype == dtype)));
            }
        }
        types.sort_by_key(|(_, total)| std::cmp::Reverse(total.bytes));
        types
    }

    /// Returns the total size of the tensors for which `includes` is true.
    fn sum(&self, includes: impl Fn(&Entry) -> bool) -> Total {
        let mut total = Total::default();
        for entry in self.manifest.entries.iter().filter(|entry| includes(entry)) {
            total.tensors += 1;
            total.values += entry.values() as u64;
            total.bytes += entry.bytes();
        }
        total
    }
}

impl TensorInspection {
    /// Returns `Some(count)`, or `None` if values of the tensor's type cannot be read as numbers, so that nothing was
    /// counted. `count` is a count of values in [`TensorInspection::stats`].
    pub fn count(&self, count: u64) -> Option<u64> {
        (self.entry.dtype.is_read() || self.entry.values() == 0).then_some(count)
    }

    /// Inspects the tensor at index `tensor` of the checkpoint's manifest.
    fn new(
        checkpoint: &Checkpoint,
        tensor: usize,
        planned: Option<Planned>,
        references: &References,
        spectra: bool,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let entry = checkpoint.manifest.entries[tensor].clone();
        let mut stats = Stats::default();
        checkpoint.values(tensor, |values| {
            stats.add(values);
            report_read(progress, &entry, values.len());
        })?;
        stats.finish();
        let plan = planned.as_ref().and_then(|planned| planned.plan.as_ref());
        let (edges, counts) = stats.bars();
        let expected = plan.and_then(|plan| expected::counts(plan, &edges, &stats));
        let histogram = Histogram { edges, counts, planned: expected };
        let finite = stats.nans + stats.infinite == 0 && entry.dtype.is_read();
        let spectrum = if spectra && finite { Spectrum::of(checkpoint, tensor)? } else { None };
        if spectra {
            progress.add(0, entry.bytes());
        }
        let reference = plan.and_then(|plan| references.get(plan));
        let warnings = warnings::of(&entry, &stats, planned.as_ref(), reference, spectrum.as_ref());
        Ok(Self { entry, planned, stats, histogram, spectrum, warnings })
    }
}
