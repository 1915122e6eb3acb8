//! Calls a function once for each of many indices, on several threads.
//!
//! All calls go through [`for_each`], which takes a trait object. The generic code of rayon is therefore compiled once,
//! not once for each function.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::error::Result;

/// Calls `work` with each index below `count`, on several threads. Each thread takes one index at a time.
fn for_each(count: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..count).into_par_iter().with_max_len(1).for_each(work);
}

/// Calls `work` with each index below `count`, on several threads. Returns the results in the order of the indices.
pub(crate) fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    for_each(count, &|index| {
        let result = work(index);
        *results[index].lock().expect("mutex poisoned") = Some(result);
    });
    let results = results.into_iter().map(|result| result.into_inner().expect("mutex poisoned"));
    results.map(|result| result.expect("`work` was called with every index")).collect()
}

/// Calls `work` with each index below `count`, on several threads. Returns the results in the order of the indices.
///
/// # Errors
/// Returns an error of `work`. After an error, `work` is not called with any further index.
pub(crate) fn try_map<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let failed = AtomicBool::new(false);
    let results = map(count, |index| {
        let result = (!failed.load(Ordering::Relaxed)).then(|| work(index))?;
        failed.fetch_or(result.is_err(), Ordering::Relaxed);
        Some(result)
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn results_are_in_the_order_of_the_indices_and_an_error_is_returned() {
        assert_eq!(map(1000, |index| 2 * index), (0..1000).map(|index| 2 * index).collect::<Vec<_>>());
        assert_eq!(try_map(3, Ok).unwrap(), [0, 1, 2]);
        let fail_at_700 = |index| if index == 700 { Err(Error::Request("x".to_owned())) } else { Ok(index) };
        assert!(matches!(try_map(1000, fail_at_700), Err(Error::Request(_))));
        assert!(map(0, |index| index).is_empty());
    }
}
