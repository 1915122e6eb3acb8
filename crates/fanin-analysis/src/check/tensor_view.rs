//! Reads the values of a stored tensor, or of a part of the tensor, such as one block of a fused parameter.

use std::ops::Range;
use std::sync::Arc;

use fanin::region::{Region, Runs};
use fanin::{Block, Plan};
use fanin_checkpoint::Checkpoint;
use fanin_recipe::Entry;

use crate::error::Result;

/// The largest number of values of a tensor that [`TensorView::kept`] keeps in memory.
const MAX_KEPT: usize = 1 << 13;

/// The largest number of values that [`TensorView::values`] passes to a closure at once.
pub(crate) const CHUNK: usize = Checkpoint::CHUNK;

/// A view of a stored tensor: the whole tensor, one block, or a range along its axes.
#[derive(Debug, Clone)]
pub(crate) struct TensorView<'a> {
    checkpoint: &'a Checkpoint,
    /// The tensor's index in the manifest.
    tensor: usize,
    /// The axes of the tensor that are also axes of the view, in ascending order.
    axes: Vec<usize>,
    /// The size of the view along each of its axes.
    shape: Vec<usize>,
    /// The index of the first value of the view along each axis of the tensor.
    start: Vec<usize>,
    /// The size of the view along each axis of the tensor.
    extent: Vec<usize>,
    /// The values of the whole tensor, if they are kept in memory.
    kept: Option<Arc<[f64]>>,
}

/// Returns the number of rows and columns of a tensor whose axes after the first are flattened into columns. Returns
/// (0, 0) for a tensor of fewer than two axes or without values.
pub(crate) fn matrix(shape: &[usize]) -> (usize, usize) {
    match shape {
        [rows, trailing @ ..] if !trailing.is_empty() && !shape.contains(&0) => {
            (*rows, trailing.iter().product())
        }
        _ => (0, 0),
    }
}

/// A range of consecutive rows of a view.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// The view of the rows of this part.
    pub(crate) view: TensorView<'a>,
    /// The row-major index of the first value of the part, in the view that was divided into parts.
    pub(crate) first: usize,
}

/// A view of a tensor or block, with the plan of the view's values.
#[derive(Debug)]
pub(crate) struct PlannedView<'a, 'p> {
    /// The suffix that names the block, such as `[2][0]`. Empty for a view of the whole tensor.
    pub(crate) suffix: &'p str,
    /// The view of the tensor or block.
    pub(crate) view: TensorView<'a>,
    /// The plan of the view's values. This plan has no blocks.
    pub(crate) plan: &'p Plan,
}

impl<'a> TensorView<'a> {
    /// Returns a view of the whole tensor at index `tensor` of the checkpoint's manifest.
    pub(crate) fn whole(checkpoint: &'a Checkpoint, tensor: usize) -> Self {
        let shape = checkpoint.manifest.entries[tensor].shape.clone();
        let (axes, start) = ((0..shape.len()).collect(), vec![0; shape.len()]);
        Self { checkpoint, tensor, axes, extent: shape.clone(), shape, start, kept: None }
    }

    /// Returns this view. If the tensor has at most `MAX_KEPT` values, they are read into memory. All views that are
    /// made from the returned view share them.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn kept(mut self) -> Result<Self> {
        if self.entry().dtype.is_read() && (1..=MAX_KEPT).contains(&self.entry().values()) {
            self.kept = Some(self.checkpoint.window(self.tensor, 0, self.entry().values())?.into());
        }
        Ok(self)
    }

    /// Returns a view of one block of the tensor. The axes are in the tensor's order, not in the plan's, so that values
    /// are read in file order.
    fn block(&self, block: &Block) -> Self {
        let extent = block.extent().to_vec();
        let mut axes = block.axes().to_vec();
        axes.sort_unstable();
        let shape = axes.iter().map(|&axis| extent[axis]).collect();
        Self { axes, shape, start: block.start().to_vec(), extent, ..self.clone() }
    }

    /// Returns a view of the indices `range` along `axis` of this view.
    pub(crate) fn slice(&self, axis: usize, range: Range<usize>) -> Self {
        let mut slice = self.clone();
        slice.start[self.axes[axis]] += range.start;
        slice.extent[self.axes[axis]] = range.len();
        slice.shape[axis] = range.len();
        slice
    }

    /// Returns a view of the same values without `axis`. The size along `axis` must be 1.
    pub(crate) fn without_axis(&self, axis: usize) -> Self {
        let mut view = self.clone();
        view.axes.remove(axis);
        view.shape.remove(axis);
        view
    }

    /// Divides the view into parts of consecutive rows, of about equal sizes. A part has at most `values` values,
    /// unless a single row has more values.
    pub(crate) fn parts(&self, values: usize) -> Vec<Part<'a>> {
        let Some(&rows) = self.shape.first() else {
            return vec![Part { view: self.clone(), first: 0 }];
        };
        if self.shape.contains(&0) {
            return Vec::new();
        }
        let width: usize = self.shape[1..].iter().product();
        let step = (values / width.max(1)).max(1);
        // The parts have about equal sizes.
        let step = rows.div_ceil(rows.div_ceil(step).max(1)).max(1);
        let part =
            |from: usize| Part { view: self.slice(0, from..rows.min(from + step)), first: from * width };
        (0..rows).step_by(step).map(part).collect()
    }

    /// Returns a view of each block of the plan, or one view of the whole tensor if the plan has no blocks.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn all<'p>(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        plan: &'p Plan,
    ) -> Result<Vec<PlannedView<'a, 'p>>> {
        let whole = Self::whole(checkpoint, tensor).kept()?;
        if plan.blocks().is_empty() {
            return Ok(vec![PlannedView { suffix: "", view: whole, plan }]);
        }
        let view = |block: &'p Block| PlannedView {
            suffix: block.suffix(),
            view: whole.block(block),
            plan: block.plan(),
        };
        Ok(plan.blocks().iter().map(view).collect())
    }

    /// Returns the number of non-zero values of a tensor outside all `views`. The views must not overlap. NaN counts as
    /// non-zero.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn nonzero_outside(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        views: &[PlannedView<'a, '_>],
    ) -> Result<u64> {
        let inside = views.iter().map(|view| view.plan.len()).sum::<usize>();
        if inside == checkpoint.manifest.entries[tensor].values() {
            return Ok(0);
        }
        let nonzero = |view: &Self| -> Result<u64> {
            let mut count = 0;
            view.values(|values| count += values.iter().filter(|x| **x != 0.0).count() as u64)?;
            Ok(count)
        };
        let inside = views.iter().map(|planned| nonzero(&planned.view)).sum::<Result<u64>>()?;
        Ok(nonzero(&Self::whole(checkpoint, tensor))? - inside)
    }

    pub(crate) fn entry(&self) -> &'a Entry {
        &self.checkpoint.manifest.entries[self.tensor]
    }

    /// Returns the shape of the view.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads and returns all values of the view in row-major order.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn all_values(&self) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        self.values(|values| all.extend_from_slice(values))?;
        Ok(all)
    }

    /// Reads and returns the first values of the view in row-major order, at most `count`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn first_values(&self, count: usize) -> Result<Vec<f64>> {
        let mut left = count;
        let runs = self.runs().map_while(|run| {
            let run = run.start..run.end.min(run.start + left);
            left -= run.len();
            (!run.is_empty()).then_some(run)
        });
        let mut first = Vec::new();
        self.values_of(runs, |values| first.extend_from_slice(values))?;
        Ok(first)
    }

    /// Calls `take` with the values of the view in row-major order, in chunks of at most [`CHUNK`] values.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn values(&self, take: impl FnMut(&[f64])) -> Result {
        self.values_of(self.runs(), take)
    }

    /// Calls `take` with the values of the tensor at the row-major indices `runs`, in chunks of at most [`CHUNK`]
    /// values.
    fn values_of(&self, runs: impl Iterator<Item = Range<usize>>, mut take: impl FnMut(&[f64])) -> Result {
        match &self.kept {
            Some(kept) => runs.for_each(|run| kept[run].chunks(CHUNK).for_each(&mut take)),
            None => self.checkpoint.values_of(self.tensor, runs, take)?,
        }
        Ok(())
    }

    /// Returns the ranges of row-major indices of the tensor that are in the view, in ascending order.
    fn runs(&self) -> Runs {
        Region::new(&self.entry().shape, &self.start, &self.extent).runs()
    }
}
