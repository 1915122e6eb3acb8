//! Methods that compute regions of a tensor on the torch stream.

use super::check_plan::check_plan;
use super::generator::Torch;
use super::sequences::{ByGroups, Part};
use super::words::{BULK, drawn_dtype};
use crate::dtype::values;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::region::Region;
use crate::streams::checks::{check_memory, check_region};
use crate::streams::fixed::{fill_constant, fill_fixed};
use crate::streams::stream::Stream;
use crate::tensor::{Order, TensorMut};

impl Torch {
    /// Fills `tensor` with the same values as [`Stream::fill_region`], but does not advance the generator. Use this
    /// method to fill several regions of one tensor.
    ///
    /// ```
    /// use fanin::{DType, Initializer as _, TensorMut, Torch, init};
    /// let plan = init::trunc_normal(0.0, 0.02).resolve(&[4096, 64], DType::F32)?;
    /// let generator = Torch::new(0);
    /// let mut rows = vec![0f32; 2 * 64]; // only rows 4000 and 4001
    /// generator.peek_region(&plan, &[4000, 0], TensorMut::contiguous(&mut rows, &[2, 64])?)?;
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`Stream::fill_region`].
    pub fn peek_region(&self, plan: &Plan, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        check_plan(plan)?;
        if tensor.is_empty() || fill_fixed(self.threads, plan, start, &mut tensor) {
            return Ok(());
        }
        if let Distribution::Blocks { .. } = plan.distribution() {
            return self.peek_blocks(plan, start, tensor);
        }
        self.check_memory_of_zeros(plan, tensor.shape().last().copied().unwrap_or(0))?;
        let region = Region::new(plan.shape(), start, tensor.shape());
        let count = plan.len();
        let mut generator = self.clone();
        if count < BULK || matches!(plan.distribution(), Distribution::Orthogonal { .. }) {
            return generator.draw_whole(plan, &region, &mut tensor);
        }
        let part = Part { dtype: drawn_dtype(plan.dtype()), count, slice: region.all() };
        tensor.write_in(Order::Index, |memory| {
            generator.draw(plan.distribution_on_torch(), part, memory, ByGroups::contiguous(count));
        });
        if let Distribution::Sparse { zeros, .. } = plan.distribution() {
            generator.write_zeros(plan, zeros, start, &mut tensor);
        }
        Ok(())
    }

    /// Implements [`Torch::peek_region`] for plans of blocks.
    fn peek_blocks(&self, plan: &Plan, start: &[usize], mut tensor: TensorMut<'_>) -> Result<(), Error> {
        let size = tensor.shape().to_vec();
        if plan.has_background() {
            fill_constant(self.threads, 0.0, &mut tensor);
        }
        let mut generator = self.clone();
        for block in plan.blocks() {
            if let Some(intersection) = block.intersection(start, &size) {
                let view = tensor.view(&intersection.in_region, block.axes(), &intersection.size);
                generator.peek_region(block.plan(), &intersection.in_block, view)?;
            }
            generator.advance_past(block.plan())?;
        }
        Ok(())
    }

    /// Draws the whole tensor of a plan, and copies the values of `region` to `tensor`.
    fn draw_whole(&mut self, plan: &Plan, region: &Region, tensor: &mut TensorMut<'_>) -> Result<(), Error> {
        check_memory(plan, plan.len() as u128)?;
        let (memory, mut offsets) = tensor.offsets(Order::Index);
        values!(memory, memory => {
            let mut whole = vec![Default::default(); plan.len()];
            self.fill(plan, TensorMut::contiguous(&mut whole, plan.shape())?)?;
            for run in region.runs() {
                for (value, offset) in whole[run].iter().zip(&mut offsets) {
                    memory[offset] = *value;
                }
            }
        });
        Ok(())
    }
}
