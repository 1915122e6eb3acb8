//! Applies a function to each tensor of a checkpoint, on several threads.

use fanin_checkpoint::Checkpoint;
use rayon::prelude::*;

use crate::error::Result;

/// Calls `check` with each of `items` and its index, and returns the results in the same order. There is one item for
/// each tensor of the checkpoint. The calls are made on several threads, unless the checkpoint must be read
/// sequentially.
///
/// # Errors
/// Returns an error of `check`.
pub(crate) fn each_tensor<T: Send, R: Send>(
    checkpoint: &Checkpoint,
    items: Vec<T>,
    check: impl Fn(usize, T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if checkpoint.is_sequential() {
        return items.into_iter().enumerate().map(|(tensor, item)| check(tensor, item)).collect();
    }
    // Each thread takes one tensor at a time, so that few large tensors are in memory at the same time.
    let items = items.into_par_iter().enumerate().with_max_len(1);
    items.map(|(tensor, item)| check(tensor, item)).collect()
}
