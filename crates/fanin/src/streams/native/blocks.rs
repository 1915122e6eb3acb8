//! Fills tensors with values of the native stream, according to plans that consist of blocks.

use std::sync::{Arc, Mutex, PoisonError};

use super::single::PreparedSingle;
use super::tensor::NativeTensor;
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Block, Distribution, Intersection, Plan};
use crate::region::Region;
use crate::rng::Philox;
use crate::streams::by_index::fill_by_index_on;
use crate::streams::checks::check_region;
use crate::streams::fixed::{fill_constant, fill_fixed};
use crate::tensor::{Order, TensorMut};

/// A plan that consists of blocks, prepared to fill any region of one tensor with values of the native stream.
#[derive(Debug, Clone)]
pub(super) struct PreparedBlocks {
    plan: Plan,
    tensor: NativeTensor,
    /// The generator of uniform, normal and truncated normal values. Such a value depends on its index in the whole
    /// tensor, not on its index in a block.
    values: Philox,
    recent: RecentMatrices,
}

/// The blocks that were prepared last, in the order of preparation. They are stored because the next region is likely
/// to intersect the same blocks. At most [`KEPT`] blocks are stored, because all blocks might not fit in memory.
#[derive(Debug, Clone, Default)]
struct RecentMatrices(Arc<Mutex<Vec<NumberedMatrix>>>);

/// The index of a block in the plan, and the prepared block.
type NumberedMatrix = (usize, Arc<PreparedSingle>);

/// The largest number of prepared blocks that [`RecentMatrices`] stores.
const KEPT: usize = 3;

impl PreparedBlocks {
    /// Prepares a plan that consists of blocks. A block that requires preparation, such as an orthogonal matrix, is
    /// prepared later, when a region intersects the block.
    pub(super) fn new(tensor: &NativeTensor, plan: &Plan) -> Self {
        let values = tensor.philox(if plan.dtype() == DType::F64 { "values64" } else { "values32" });
        Self { plan: plan.clone(), tensor: tensor.clone(), values, recent: RecentMatrices::default() }
    }

    /// Fills `tensor` with one region of the planned tensor. The region begins at the index `start`, and has the shape
    /// of `tensor`.
    ///
    /// # Errors
    /// `Region` if the region exceeds the plan's shape. `ElementType` if `tensor` does not have the plan's element
    /// type. `Memory` if the memory for an orthogonal block cannot be allocated.
    pub(super) fn fill_region(&self, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(&self.plan, start, &tensor)?;
        if tensor.is_empty() {
            return Ok(());
        }
        let size = tensor.shape().to_vec();
        if self.plan.has_background() {
            fill_constant(self.tensor.native.threads, 0.0, &mut tensor);
        }
        for (number, block) in self.plan.blocks().iter().enumerate() {
            if let Some(intersection) = block.intersection(start, &size) {
                self.fill_block(number, block, &intersection, start, &mut tensor)?;
            }
        }
        Ok(())
    }

    /// Fills the intersection of a block with a region of the whole tensor. The region begins at the index `start` of
    /// the whole tensor. `tensor` is the memory of the region.
    fn fill_block(
        &self,
        number: usize,
        block: &Block,
        intersection: &Intersection,
        start: &[usize],
        tensor: &mut TensorMut<'_>,
    ) -> Result<(), Error> {
        let Intersection { in_region, in_block, size, extent } = intersection;
        let (threads, level) = (self.tensor.native.threads, self.tensor.native.level());
        let distribution = block.plan().distribution();
        if let Distribution::Uniform { .. }
        | Distribution::Normal { .. }
        | Distribution::TruncatedNormal { .. } = distribution
        {
            // These values depend on their index in the whole tensor, not on their index in the block.
            let first: Vec<usize> =
                start.iter().zip(in_region).map(|(start, offset)| start + offset).collect();
            let region = Region::new(self.plan.shape(), &first, extent);
            let axes: Vec<usize> = (0..first.len()).collect();
            tensor.view(in_region, &axes, extent).write_in(Order::Index, |memory| {
                fill_by_index_on(threads, level, distribution, self.values, &region, memory);
            });
            return Ok(());
        }
        let mut view = tensor.view(in_region, block.axes(), size);
        if fill_fixed(threads, block.plan(), in_block, &mut view) {
            return Ok(());
        }
        self.matrix(number, block)?.fill_region(in_block, view)
    }

    /// Returns the block `number`, prepared. It is drawn like a separate tensor, whose name is the name of the whole
    /// tensor followed by the block's suffix.
    fn matrix(&self, number: usize, block: &Block) -> Result<Arc<PreparedSingle>, Error> {
        let recent = || self.recent.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, prepared)) = recent().iter().find(|(kept, _)| *kept == number) {
            return Ok(Arc::clone(prepared));
        }
        let name = self.tensor.name.clone() + block.suffix();
        let tensor = NativeTensor { native: self.tensor.native, name };
        let prepared = Arc::new(PreparedSingle::new(&tensor, block.plan())?);
        let mut kept = recent();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((number, Arc::clone(&prepared)));
        Ok(prepared)
    }
}
