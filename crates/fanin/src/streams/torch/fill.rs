//! Fills whole tensors with values of the torch stream.

use super::check_plan::check_plan;
use super::generator::Torch;
use super::sequences::{ByGroups, Part};
use super::words::{BULK, drawn_dtype, words_of_permutations};
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::region::Region;
use crate::streams::checks::{check_region, check_whole};
use crate::streams::fixed::fill_fixed;
use crate::streams::sequential_blocks::fill_blocks;
use crate::streams::stream::Stream;
use crate::tensor::{Order, TensorMut};

impl Stream for Torch {
    fn fill(&mut self, plan: &Plan, mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        check_plan(plan)?;
        let start = vec![0; plan.shape().len()];
        if fill_fixed(self.threads, plan, &start, &mut tensor) {
            return Ok(());
        }
        match plan.distribution() {
            Distribution::Blocks { .. } => fill_blocks(self, plan, &mut tensor),
            Distribution::Orthogonal { .. } if tensor.is_empty() => Ok(()),
            Distribution::Orthogonal { gain } => self.fill_orthogonal(plan, gain, &mut tensor),
            _ => self.fill_value_by_value(plan, &start, tensor),
        }
    }

    /// Fills `tensor` with one region of the tensor that `plan` describes. The region begins at the index `start`.
    ///
    /// Then advances the generator past the whole tensor, as [`Torch::advance_past`] does. To fill a region without
    /// advancing the generator, use [`Torch::peek_region`].
    ///
    /// The region has the values that torch draws for a tensor in contiguous memory, even if `tensor` is strided.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        if tensor.shape() == plan.shape() && tensor.is_contiguous() {
            return self.fill(plan, tensor);
        }
        self.peek_region(plan, start, tensor)?;
        self.advance_past(plan)
    }
}

impl Torch {
    /// Fills `tensor` in memory order with values of a distribution that [`Torch::draw`] supports. Also writes the
    /// zeros of a sparse distribution.
    fn fill_value_by_value(
        &mut self,
        plan: &Plan,
        start: &[usize],
        mut tensor: TensorMut<'_>,
    ) -> Result<(), Error> {
        self.check_memory_of_zeros(plan, plan.matrix().1)?;
        let (distribution, count) = (plan.distribution_on_torch(), plan.len());
        let by_groups = ByGroups {
            tensor: tensor.is_contiguous() && count >= BULK,
            copy: tensor.copy_is_contiguous() && count >= BULK,
        };
        if let (Distribution::Sparse { zeros: zeros @ 1.., std }, true) = (distribution, by_groups.tensor) {
            tensor.write_in(Order::Memory, |memory| self.sparse(plan, (zeros, std), memory));
            self.advance(words_of_permutations(plan.matrix()));
            return Ok(());
        }
        let whole = Region::whole(&[count]);
        let part = Part { dtype: drawn_dtype(plan.dtype()), count, slice: whole.all() };
        tensor.write_in(Order::Memory, |memory| _ = self.draw(distribution, part, memory, by_groups));
        if let Distribution::Sparse { zeros, .. } = plan.distribution() {
            self.write_zeros(plan, zeros, start, &mut tensor);
            self.advance(words_of_permutations(plan.matrix()));
        }
        Ok(())
    }
}
