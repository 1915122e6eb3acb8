//! Inspects the tensors of a checkpoint.

use fanin::{Distribution, Plan};
use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::{Entry, Manifest, Planned, StoredType};

use super::expected;
use super::spectrum::{MAX_VALUES, Spectrum};
use super::warnings;
use crate::check::ModelComparison;
use crate::check::each_tensor::each_tensor;
use crate::check::generate::report_read;
use crate::check::reference::References;
use crate::error::Result;
use crate::parallel::try_map;
use crate::stats::Stats;

/// The arguments of an inspection.
#[derive(Debug)]
pub struct Request<'a> {
    /// The name of the file or folder, as the caller gave it.
    pub file: &'a str,
    /// The name of the recipe, as the caller gave it.
    pub recipe: Option<&'a str>,
    /// The comparison of the file with the recipe: a plan for each tensor, and the mismatches with the recipe's model.
    /// Without a recipe, use `ModelComparison::default()`.
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
    /// The standard error of the measured std, divided by the planned std. `None` if there is no plan, or if there are
    /// too few values. Also `None` if the planned values are not independent and random (`orthogonal`, `ones`), if the
    /// plan has blocks or applies functions to random values, or if the planned std is too small for a test.
    pub std_error: Option<f64>,
    /// The counts, moments, range and outliers of the tensor's values.
    pub stats: Stats,
    /// The histogram of the tensor's values.
    pub histogram: Histogram,
    /// The largest and the smallest singular value. `None` if they were not requested, or if the computation failed.
    /// Also `None` if the tensor is not floating-point, has fewer than two axes or fewer than two values, or has a
    /// value that is not finite. Axes after the first are flattened into columns.
    pub spectrum: Option<Spectrum>,
    /// One message for each property of the tensor that is probably wrong, such as a NaN or a mean far from the plan.
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
    /// The expected number of finite values in each bar, computed from the plan. `None` if there is no plan, or if no
    /// two finite values differ. Also `None` if the plan has no known density, as for `ones` or a plan with blocks.
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
    /// Inspects a checkpoint. Reads all values once. If [`Request::spectra`] is `true`, reads matrices of finite values
    /// a second time. In that case, `progress` counts the bytes of every tensor twice, even if the tensor is not a
    /// matrix.
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
        if request.spectra {
            add_large_spectra(checkpoint, &mut tensors, progress)?;
        }
        tensors.iter_mut().for_each(|tensor| tensor.add_warnings(&references));
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
    /// Returns the argument `count` as `Some(count)`, or `None` if the tensor's values cannot be counted. The argument
    /// must be one of the counts in [`TensorInspection::stats`], such as `stats.zeros`. The values cannot be counted if
    /// fanin cannot read values of the tensor's type as numbers, as for `C64`. For a tensor without values, always
    /// returns `Some(count)`.
    pub fn count(&self, count: u64) -> Option<u64> {
        (self.entry.dtype.is_read() || self.entry.values() == 0).then_some(count)
    }

    /// Converts a row-major index of a value into an index along each axis.
    pub fn index(&self, row_major: u64) -> Vec<u64> {
        let mut rest = row_major;
        let mut index: Vec<u64> = self
            .entry
            .shape
            .iter()
            .rev()
            .map(|&size| {
                let position = rest % size as u64;
                rest /= size as u64;
                position
            })
            .collect();
        index.reverse();
        index
    }

    /// Inspects the tensor at index `index` of the checkpoint's manifest.
    fn new(
        checkpoint: &Checkpoint,
        index: usize,
        planned: Option<Planned>,
        references: &References,
        spectra: bool,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let entry = checkpoint.manifest.entries[index].clone();
        let mut stats = Stats::default();
        checkpoint.values(index, |values| {
            stats.add(values);
            report_read(progress, &entry, values.len());
        })?;
        stats.finish();
        let plan = planned.as_ref().and_then(|planned| planned.plan.as_ref());
        let (edges, counts) = stats.bars();
        let expected = plan.and_then(|plan| expected::counts(plan, &edges, &stats));
        let histogram = Histogram { edges, counts, planned: expected };
        let reference = plan.and_then(|plan| references.get(plan));
        let random = match plan.map(Plan::distribution) {
            Some(Distribution::Sparse { zeros, .. }) => entry.values() - zeros * entry.shape[1],
            _ => entry.values(),
        };
        let std_error = reference.and_then(|reference| expected::std_error(reference, random as u64));
        let mut tensor =
            Self { entry, planned, std_error, stats, histogram, spectrum: None, warnings: Vec::new() };
        if spectra && !tensor.has_large_spectrum() {
            if tensor.is_finite() {
                tensor.spectrum = Spectrum::of(checkpoint, index)?;
            }
            progress.add(0, tensor.entry.bytes());
        }
        Ok(tensor)
    }

    /// Returns whether all values were read and are finite.
    fn is_finite(&self) -> bool {
        self.stats.nans + self.stats.infinite == 0 && self.entry.dtype.is_read()
    }

    /// Returns whether the tensor is a large matrix of finite values. The singular values of such a matrix are only
    /// estimated.
    fn has_large_spectrum(&self) -> bool {
        self.is_finite() && Spectrum::large_size(&self.entry).is_some()
    }

    fn add_warnings(&mut self, references: &References) {
        let plan = self.planned.as_ref().and_then(|planned| planned.plan.as_ref());
        let reference = plan.and_then(|plan| references.get(plan));
        let Self { entry, stats, planned, spectrum, .. } = self;
        self.warnings = warnings::of(entry, stats, planned.as_ref(), reference, spectrum.as_ref());
    }
}

/// Estimates the singular values of large matrices in batches. A batch of several matrices keeps at most [`MAX_VALUES`]
/// values in memory.
fn add_large_spectra(
    checkpoint: &Checkpoint,
    tensors: &mut [TensorInspection],
    progress: &dyn Progress,
) -> Result {
    let large: Vec<usize> = (0..tensors.len()).filter(|&index| tensors[index].has_large_spectrum()).collect();
    let mut rest = large.as_slice();
    while !rest.is_empty() {
        let (mut values, mut count) = (0, 0);
        for &index in rest {
            values += Spectrum::large_size(&tensors[index].entry).unwrap_or(0);
            if count > 0 && (values > MAX_VALUES || checkpoint.is_sequential()) {
                break;
            }
            count += 1;
        }
        let (batch, after) = rest.split_at(count);
        let spectra = try_map(batch.len(), |n| Spectrum::of(checkpoint, batch[n]))?;
        for (&index, spectrum) in batch.iter().zip(spectra) {
            tensors[index].spectrum = spectrum;
            progress.add(0, tensors[index].entry.bytes());
        }
        rest = after;
    }
    Ok(())
}
