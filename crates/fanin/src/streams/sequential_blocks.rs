//! Fills tensors whose plan consists of blocks, on streams that draw their values in sequence.

use super::fixed::fill_constant;
use super::stream::Stream;
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// Fills the blocks of a plan one after another. Each block is drawn like a separate contiguous tensor. Elements
/// outside all blocks are set to 0.
pub(super) fn fill_blocks(
    stream: &mut dyn Stream,
    plan: &Plan,
    tensor: &mut TensorMut<'_>,
) -> Result<(), Error> {
    if plan.has_background() {
        fill_constant(Threads::One, 0.0, tensor);
    }
    for block in plan.blocks() {
        let shape = block.plan().shape();
        let mut filled = Ok(());
        tensor.view(block.start(), block.axes(), shape).write_in(Order::Index, |memory| {
            filled = TensorMut::from_values(memory, shape).and_then(|view| stream.fill(block.plan(), view));
        });
        filled?;
    }
    Ok(())
}
