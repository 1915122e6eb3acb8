//! A floating-point tensor, with the sums that were computed when its values were read for the first time.

use fanin::DType;
use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::Entry;

use super::sample::ValueSample;
use super::summary::Summary;
use crate::check::generate::report_read;
use crate::check::repeats::RepeatSearch;
use crate::error::Result;

/// A tensor that is being classified.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    checkpoint: &'a Checkpoint,
    /// The tensor's index in the manifest.
    pub(super) tensor: usize,
    /// The tensor's name, type and shape.
    pub(super) entry: &'a Entry,
    /// The dtype of the tensor's values.
    pub(super) dtype: DType,
    /// Sums over the values.
    pub(super) summary: Summary,
    /// The search for repeated values.
    pub(super) repeats: RepeatSearch,
    /// The sample in which modes are searched.
    pub(super) sample: ValueSample,
}

impl<'a> Scan<'a> {
    /// Reads the values of the tensor at this index of the manifest once, to compute the sums.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        dtype: DType,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let entry = &checkpoint.manifest.entries[tensor];
        // In types with few exponent bits, subnormal values are common, so no value is implausibly small.
        let narrow = dtype == DType::F16 || dtype.size() == 1;
        let mut summary = Summary::new(&entry.shape, if narrow { 0.0 } else { 1e-30 });
        let mut repeats = RepeatSearch::new(&entry.shape);
        let mut sample = ValueSample::new(entry.values());
        let mut index = 0;
        checkpoint.values(tensor, |values| {
            summary.add(index, values);
            repeats.add(values);
            sample.add(values);
            index += values.len();
            report_read(progress, entry, values.len());
        })?;
        Ok(Self { checkpoint, tensor, entry, dtype, summary, repeats, sample })
    }

    /// Returns the checkpoint of the tensor.
    pub(super) fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    /// Reads the values again, and calls `take` with each chunk of values in turn.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn values(&self, take: impl FnMut(&[f64])) -> Result {
        Ok(self.checkpoint.values(self.tensor, take)?)
    }

    /// Reads and returns the values of the first row, or the first 65,536 of them.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn first_row(&self) -> Result<Vec<f64>> {
        Ok(self.checkpoint.window(self.tensor, 0, self.summary.columns().min(1 << 16))?)
    }
}
