//! A floating-point tensor, with the statistics that are computed when its values are read for the first time.

use fanin::DType;
use fanin_checkpoint::{Checkpoint, Progress};

use super::sample::ValueSample;
use super::summary::Summary;
use crate::check::generate::report_read;
use crate::check::repeats::RepeatSearch;
use crate::check::tensor::PART;
use crate::check::tensor_view::{Part, TensorView, matrix};
use crate::error::Result;
use crate::parallel::try_reduce;

/// A tensor, or a block of a tensor, that is being classified. All values have been read once.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// The view of the tensor or block, from which the values can be read again.
    pub(super) view: TensorView<'a>,
    /// The type of the values.
    pub(super) dtype: DType,
    /// The counts, sums, minimum and maximum of the values.
    pub(super) summary: Summary,
    /// The search for repeated values.
    pub(super) repeats: RepeatSearch,
    /// The sample that is searched for modes.
    pub(super) sample: ValueSample,
    /// The values of the first column of a view with two axes. Empty for other views.
    first_column: Vec<f64>,
}

/// The statistics of a part of a tensor: the summary, the search for repeated values, the sample, and the values of the
/// first column.
type Read = (Summary, RepeatSearch, ValueSample, Vec<f64>);

impl<'a> Scan<'a> {
    /// Reads a tensor once and computes its statistics. `tensor` is the index in the checkpoint's manifest.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        dtype: DType,
        progress: &dyn Progress,
    ) -> Result<Self> {
        Self::of(TensorView::whole(checkpoint, tensor).kept()?, dtype, progress)
    }

    /// Reads a view once and computes its statistics.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn of(view: TensorView<'a>, dtype: DType, progress: &dyn Progress) -> Result<Self> {
        // In types with few exponent bits, subnormal values are common. No value of such a type counts as implausibly
        // small.
        let narrow = dtype == DType::F16 || dtype.size() == 1;
        let empty = || Summary::new(view.shape(), if narrow { 0.0 } else { 1e-30 });
        let count = if view.shape().contains(&0) { 0 } else { view.shape().iter().product() };
        let width = if let [_, width] = view.shape() { *width } else { 0 };
        let read = |part: &Part<'_>| -> Result<Read> {
            let (mut summary, mut repeats) = (empty(), RepeatSearch::new(view.shape(), part.first));
            let mut sample = ValueSample::new(count, part.first);
            // The next row starts `distance` values after the start of the next chunk.
            let (mut first_column, mut distance) = (Vec::new(), 0);
            part.view.values(|values| {
                if width > 0 {
                    first_column.extend(values.iter().skip(distance).step_by(width));
                    distance = (distance + width - values.len() % width) % width;
                }
                summary.add(values);
                repeats.add(values);
                sample.add(values);
            })?;
            report_read(progress, view.entry(), part.view.shape().iter().product());
            Ok((summary, repeats, sample, first_column))
        };
        let parts = view.parts(PART);
        let merge = |(summary, repeats, sample, column): &mut Read, next: Read| {
            summary.merge(&next.0);
            repeats.merge(next.1);
            sample.merge(next.2);
            column.extend(next.3);
        };
        let merged = try_reduce(parts.len(), |n| read(&parts[n]), merge)?;
        let nothing = || (empty(), RepeatSearch::new(view.shape(), 0), ValueSample::new(0, 0), Vec::new());
        let (summary, repeats, sample, first_column) = merged.unwrap_or_else(nothing);
        Ok(Self { view, dtype, summary, repeats, sample, first_column })
    }

    /// Returns the shape of the view.
    pub(super) fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    /// Returns the number of values.
    pub(super) fn count(&self) -> usize {
        if self.shape().contains(&0) { 0 } else { self.shape().iter().product() }
    }

    /// Returns the number of rows and the number of columns of the view as a matrix. See [`matrix`].
    pub(super) fn matrix(&self) -> (usize, usize) {
        matrix(self.shape())
    }

    /// Reads the values again in row-major order, and calls `take` with each chunk of values.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn values(&self, take: impl FnMut(&[f64])) -> Result {
        self.view.values(take)
    }

    /// Returns two numbers for a quick test whether the matrix `view` may be orthogonal:
    /// - If `view` has at most as many rows as columns: the sum of the squares of the first row, and the scalar product
    ///   of the first two rows.
    /// - If `view` has more rows than columns: the sum of the squares of the first column, and 0 as a placeholder. No
    ///   scalar product of two columns is computed.
    ///
    /// Returns `None` if `view` has more rows than columns and `self.first_column` is empty. This field is filled only
    /// if `self.view` has two axes.
    ///
    /// The argument `view` is `self.view`, or a block of `self.view` that starts at the first value. The matrix `view`
    /// must have at least two rows and two columns.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn products_of_first_lines(&self, view: &TensorView<'_>) -> Result<Option<[f64; 2]>> {
        let (rows, columns) = matrix(view.shape());
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        if rows <= columns {
            let values = view.slice(0, 0..2).all_values()?;
            let (first, second) = values.split_at(columns);
            return Ok(Some([product(first, first), product(first, second)]));
        }
        // Reading one column from a file takes as long as reading the whole tensor. The first column was therefore
        // stored by `Self::of`.
        Ok(self.first_column.get(..rows).map(|column| [product(column, column), 0.0]))
    }

    /// Reads and returns the values of the first row: the values with index 0 along axis 0. If the row has more than
    /// 65,536 values, only the values of the first indices along axis 1 are read: at most 65,536 values. If index 0
    /// along axis 1 alone has more values, exactly its values are read. The tensor must have at least two axes.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(super) fn first_row(&self) -> Result<Vec<f64>> {
        let width = self.matrix().1;
        let positions = self.shape()[1] / width.div_ceil(1 << 16).max(1);
        self.view.slice(0, 0..1).slice(1, 0..positions.max(1)).all_values()
    }
}
