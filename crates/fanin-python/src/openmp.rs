//! Fills on the OpenMP threads of torch.
//!
//! OpenMP threads keep spinning for some milliseconds after each of torch's operations. A fill on the threads of another
//! pool competes with them for the CPUs, and takes twice as long. On torch's own threads it starts at once, and
//! `torch.set_num_threads` applies to it.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use fanin::{Team, Threads};
use pyo3::prelude::*;

/// `GOMP_parallel(function, data, threads, flags)`: calls `function(data)` on each of `threads` threads, including the
/// calling thread.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// `omp_get_max_threads()`: the number of threads of the calling thread's next parallel region.
type MaxThreads = unsafe extern "C" fn() -> c_int;

/// The functions of torch's OpenMP library.
struct OpenMp {
    parallel: Parallel,
    max_threads: MaxThreads,
    /// The process that loaded the library. A forked child has none of its threads, and OpenMP would wait for them.
    process: u32,
}

static OPENMP: OnceLock<OpenMp> = OnceLock::new();

/// Sets the addresses of the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP. Has no effect if one
/// is 0, or after the first call.
#[pyfunction]
pub fn use_openmp(parallel: usize, max_threads: usize) {
    if parallel == 0 || max_threads == 0 {
        return;
    }
    // SAFETY: `_openmp.py` finds the addresses under these names in the library that torch has loaded, which is never
    // unloaded.
    let (parallel, max_threads) = unsafe {
        (
            std::mem::transmute::<usize, Parallel>(parallel),
            std::mem::transmute::<usize, MaxThreads>(max_threads),
        )
    };
    let _ = OPENMP.set(OpenMp { parallel, max_threads, process: std::process::id() });
}

impl OpenMp {
    /// Returns the functions if their addresses were set in this process.
    fn current() -> Option<&'static Self> {
        OPENMP.get().filter(|openmp| openmp.process == std::process::id())
    }

    /// Returns the number of threads that torch uses.
    fn count(&self, py: Python<'_>) -> usize {
        thread_local! {
            static INITIALIZED: Cell<bool> = const { Cell::new(false) };
        }
        // OpenMP's setting is per thread. torch applies its own when a thread first calls get_num_threads.
        if !INITIALIZED.replace(true) {
            let _ = py.import("torch").and_then(|torch| torch.call_method0("get_num_threads"));
        }
        // SAFETY: the function takes nothing and reads a setting.
        unsafe { (self.max_threads)() }.unsigned_abs() as usize
    }
}

/// Returns torch's threads, or the pool if they are not known or the work is `interruptible`: such work runs on a thread of
/// its own, for which OpenMP would start another team.
pub fn threads(py: Python<'_>, interruptible: bool) -> Threads {
    match OpenMp::current() {
        Some(openmp) if !interruptible => Threads::Team(Team::new(openmp.count(py), parallel)),
        _ => Threads::Pool,
    }
}

/// Returns the number of threads that torch uses, or the number of CPUs if it is not known.
pub fn count(py: Python<'_>) -> usize {
    OpenMp::current().map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |openmp| openmp.count(py),
    )
}

fn parallel(count: usize, work: &(dyn Fn() + Sync)) {
    extern "C" fn member(work: *mut c_void) {
        // SAFETY: `work` is the address of `data` below, which outlives the parallel region.
        unsafe { (*work.cast::<&(dyn Fn() + Sync)>())() }
    }
    let Some(openmp) = OPENMP.get() else { return work() };
    let mut data = work;
    // SAFETY: the function calls `member(data)` on threads that all finish before it returns. `work` is Sync, so they may
    // call it at the same time.
    unsafe { (openmp.parallel)(member, std::ptr::from_mut(&mut data).cast(), count as c_uint, 0) }
}
