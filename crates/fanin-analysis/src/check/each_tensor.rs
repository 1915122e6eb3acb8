//! Applies a function to each tensor of a checkpoint, on several threads.

use std::sync::Mutex;

use fanin_checkpoint::Checkpoint;

use crate::error::Result;
use crate::parallel::try_map;

/// Calls `check` for each tensor of the checkpoint, and returns the results in order. `items` contains one item for
/// each tensor. `check` receives the index of the tensor and its item. The calls run on several threads, unless the
/// checkpoint must be read sequentially.
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
    // Each thread takes one tensor at a time, which limits the number of tensors in memory.
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    try_map(items.len(), |tensor| {
        let item = items[tensor].lock().expect("mutex poisoned").take();
        check(tensor, item.expect("each item is used once"))
    })
}
