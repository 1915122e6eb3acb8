//! Views of a stored tensor. A view has the values of the whole tensor, or of one block of a fused parameter.

use fanin::region::{Region, Runs};
use fanin::{Block, Plan};
use fanin_checkpoint::Checkpoint;
use fanin_recipe::Entry;

use crate::error::Result;

/// A view of the whole of a tensor in a checkpoint, or of one block of the tensor.
#[derive(Debug, Clone)]
pub(crate) struct TensorView<'a> {
    checkpoint: &'a Checkpoint,
    /// The tensor's index in the manifest.
    tensor: usize,
    shape: Vec<usize>,
    /// The positions of the view's values in the tensor, as ranges of row-major indices.
    runs: Runs,
}

/// A view of a tensor or block, with the plan of the view's values.
#[derive(Debug)]
pub(crate) struct PlannedView<'a, 'p> {
    /// The block's suffix to the tensor's name, such as `[2][0]`; empty for a view of the whole tensor.
    pub(crate) suffix: &'p str,
    /// The view of the tensor or block.
    pub(crate) view: TensorView<'a>,
    /// The plan of the view's values. This plan has no blocks.
    pub(crate) plan: &'p Plan,
}

impl<'a> TensorView<'a> {
    /// Returns a view of the whole tensor at this index of the manifest.
    pub(crate) fn whole(checkpoint: &'a Checkpoint, tensor: usize) -> Self {
        let shape = checkpoint.manifest.entries[tensor].shape.clone();
        let runs = Region::whole(&shape).runs();
        Self { checkpoint, tensor, shape, runs }
    }

    /// Returns a view of one block of the tensor at this index of the manifest.
    ///
    /// The axes of the view are in the order of the tensor's axes, even if the block's plan orders them differently, so
    /// that values are read in file order.
    fn block(checkpoint: &'a Checkpoint, tensor: usize, block: &Block) -> Self {
        let extent = block.extent();
        let runs = Region::new(&checkpoint.manifest.entries[tensor].shape, block.start(), &extent).runs();
        let mut axes = block.axes().to_vec();
        axes.sort_unstable();
        Self { checkpoint, tensor, shape: axes.iter().map(|&axis| extent[axis]).collect(), runs }
    }

    /// Returns a view of each block of the plan, or one view of the whole tensor if the plan has no blocks.
    pub(crate) fn all<'p>(
        checkpoint: &'a Checkpoint,
        tensor: usize,
        plan: &'p Plan,
    ) -> Vec<PlannedView<'a, 'p>> {
        if plan.blocks().is_empty() {
            return vec![PlannedView { suffix: "", view: Self::whole(checkpoint, tensor), plan }];
        }
        let view = |block: &'p Block| PlannedView {
            suffix: block.suffix(),
            view: Self::block(checkpoint, tensor, block),
            plan: block.plan(),
        };
        plan.blocks().iter().map(view).collect()
    }

    /// Returns the number of non-zero values of a tensor that are in none of these views. The views must not overlap.
    /// NaN and -0 count as non-zero.
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
            view.values(|values| count += values.iter().filter(|x| x.to_bits() != 0).count() as u64)?;
            Ok(count)
        };
        let inside = views.iter().map(|planned| nonzero(&planned.view)).sum::<Result<u64>>()?;
        Ok(nonzero(&Self::whole(checkpoint, tensor))? - inside)
    }

    /// Returns the tensor's entry in the manifest.
    pub(crate) fn entry(&self) -> &'a Entry {
        &self.checkpoint.manifest.entries[self.tensor]
    }

    /// Returns the shape of the view.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Calls `take` with the values of the view in row-major order, a chunk at a time.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub(crate) fn values(&self, take: impl FnMut(&[f64])) -> Result {
        Ok(self.checkpoint.values_of(self.tensor, self.runs.clone(), take)?)
    }
}
