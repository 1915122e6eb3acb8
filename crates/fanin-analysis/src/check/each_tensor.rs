//! A loop over the tensors of a checkpoint.

use fanin_checkpoint::Checkpoint;
use rayon::prelude::*;

use crate::error::Result;

/// Calls `check` with each of `items`, one for each tensor of a checkpoint, and its index. Returns the results in the same
/// order. The calls are made on several threads, unless the checkpoint must be read sequentially.
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
    // The threads take the tensors one after another, so that large tensors are not in memory together for longer than
    // needed.
    let items = items.into_par_iter().enumerate().with_max_len(1);
    items.map(|(tensor, item)| check(tensor, item)).collect()
}
