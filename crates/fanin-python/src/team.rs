//! The threads that torch keeps for its own operations, put to work for fills.
//!
//! torch shares its operations by OpenMP, whose threads look out for more work for some milliseconds after each. A fill on
//! threads of another pool would find the CPUs taken by those that wait: measured, it takes twice as long then. On torch's
//! own threads it begins at once, and `torch.set_num_threads` holds for it.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use fanin::{Team, Threads};
use pyo3::prelude::*;

/// `GOMP_parallel(function, data, threads, flags)`: calls `function(data)` on each of so many threads, this one among them.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// `omp_get_max_threads()`: how many the calling thread's next parallel work may have.
type MaxThreads = unsafe extern "C" fn() -> c_int;

static OPENMP: OnceLock<(Parallel, MaxThreads)> = OnceLock::new();

/// Says where the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP are.
#[pyfunction]
pub fn use_openmp(parallel: usize, max_threads: usize) {
    if parallel == 0 || max_threads == 0 {
        return;
    }
    // SAFETY: `_threads.py` found the addresses under these names in the library that torch has loaded, which stays.
    let functions = unsafe {
        (
            std::mem::transmute::<usize, Parallel>(parallel),
            std::mem::transmute::<usize, MaxThreads>(max_threads),
        )
    };
    let _ = OPENMP.set(functions);
}

/// torch's threads, if it has said where they are; else a pool.
pub fn threads() -> Threads {
    match OPENMP.get() {
        // SAFETY: the function takes nothing and reads a setting.
        Some((_, max_threads)) => Threads::Team(Team::new(unsafe { max_threads() } as usize, parallel)),
        None => Threads::Pool,
    }
}

fn parallel(count: usize, work: &(dyn Fn() + Sync)) {
    extern "C" fn member(work: *mut c_void) {
        // SAFETY: `data` below, which outlives the parallel region.
        unsafe { (*work.cast::<&(dyn Fn() + Sync)>())() }
    }
    let Some((parallel, _)) = OPENMP.get() else { return work() };
    let mut data = work;
    // SAFETY: the function calls `member(data)` on threads that all come back before it returns. `work` may be called on
    // any of them at once (Sync).
    unsafe { parallel(member, std::ptr::from_mut(&mut data).cast(), count as c_uint, 0) }
}
