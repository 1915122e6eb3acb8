//! Calls a function once for each of many indices, on several threads.
//!
//! All calls go through [`for_each`], which takes a trait object. The generic code of rayon is therefore compiled once,
//! not once for each function.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// The results of [`try_reduce`] so far.
struct Reduced<T> {
    /// The merged result of the indices `0..merged`. `None` if the field `merged` is 0.
    result: Option<T>,
    merged: usize,
    /// Results that wait for the result of a lower index.
    waiting: BTreeMap<usize, T>,
}

/// Calls `work` with each index below `count`, on several threads. Merges the results in the order of the indices, and
/// returns `None` if `count` is 0. A result is merged as soon as the results of all lower indices are merged, so only a
/// few results are in memory at the same time.
///
/// # Errors
/// Returns an error of `work`. After an error, `work` is not called with any further index.
pub(crate) fn try_reduce<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    merge: impl Fn(&mut T, T) + Sync,
) -> Result<Option<T>> {
    let next = AtomicUsize::new(0);
    let error = Mutex::new(None);
    let reduced = Mutex::new(Reduced { result: None, merged: 0, waiting: BTreeMap::new() });
    for_each(rayon::current_num_threads().min(count), &|_| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            match work(index) {
                Ok(result) => reduced.lock().expect("mutex poisoned").add(index, result, &merge),
                Err(found) => {
                    next.fetch_max(count, Ordering::Relaxed);
                    error.lock().expect("mutex poisoned").get_or_insert(found);
                }
            }
        }
    });
    match error.into_inner().expect("mutex poisoned") {
        Some(error) => Err(error),
        None => Ok(reduced.into_inner().expect("mutex poisoned").result),
    }
}

impl<T> Reduced<T> {
    /// Adds the result of `index`. Then merges the waiting results, up to the first index that has no result yet.
    fn add(&mut self, index: usize, result: T, merge: &impl Fn(&mut T, T)) {
        self.waiting.insert(index, result);
        while let Some(next) = self.waiting.remove(&self.merged) {
            match &mut self.result {
                Some(result) => merge(result, next),
                None => self.result = Some(next),
            }
            self.merged += 1;
        }
    }
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

    #[test]
    fn results_are_merged_in_order_and_early() {
        let in_memory = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let work = |index| {
            most.fetch_max(in_memory.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Ok(vec![index])
        };
        let merge = |all: &mut Vec<usize>, next: Vec<usize>| {
            in_memory.fetch_sub(1, Ordering::Relaxed);
            all.extend(next);
        };
        let all = try_reduce(10_000, work, merge).unwrap().unwrap();
        assert_eq!(all, (0..10_000).collect::<Vec<_>>());
        // If a thread is suspended while it computes a result, the results of the other threads wait for it.
        assert!(most.load(Ordering::Relaxed) < 10_000);
        assert!(try_reduce(0, work, merge).unwrap().is_none());
        let fail_at_700 = |index| if index == 700 { Err(Error::Request("x".to_owned())) } else { Ok(index) };
        assert!(matches!(try_reduce(1000, fail_at_700, |a, b| *a += b), Err(Error::Request(_))));
    }
}
