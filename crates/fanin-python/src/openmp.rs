//! Functions that run fills on torch's OpenMP threads.
//!
//! After each torch operation, torch's OpenMP threads wait in a busy loop for some milliseconds. A fill on the threads
//! of another pool competes with these threads for the CPUs, and therefore takes twice as long. A fill on torch's own
//! threads starts at once, and uses the number of threads that `torch.set_num_threads` sets.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use fanin::{Team, Threads};
use pyo3::prelude::*;

/// `GOMP_parallel(function, data, threads, flags)`: calls `function(data)` on each of `threads` threads, including the
/// calling thread.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// `omp_get_max_threads()`: returns the number of threads that the calling thread's next parallel region will use.
type MaxThreads = unsafe extern "C" fn() -> c_int;

/// The functions of torch's OpenMP library.
struct OpenMp {
    parallel: Parallel,
    max_threads: MaxThreads,
    /// The id of the process that stored the functions. A forked child must not call them, because OpenMP would wait
    /// for threads that exist only in the parent process.
    process: u32,
}

static OPENMP: OnceLock<OpenMp> = OnceLock::new();

/// Stores the addresses of the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP library. Does
/// nothing if an address is 0, or if addresses were stored before.
#[pyfunction]
pub fn use_openmp(parallel: usize, max_threads: usize) {
    if parallel == 0 || max_threads == 0 {
        return;
    }
    // SAFETY: `_openmp.py` looks up the addresses by these names in torch's OpenMP library. torch has loaded the
    // library and never unloads it.
    let (parallel, max_threads) = unsafe {
        (
            std::mem::transmute::<usize, Parallel>(parallel),
            std::mem::transmute::<usize, MaxThreads>(max_threads),
        )
    };
    let _ = OPENMP.set(OpenMp { parallel, max_threads, process: std::process::id() });
}

impl OpenMp {
    /// Returns the functions, or None if this process has not stored their addresses.
    fn current() -> Option<&'static Self> {
        OPENMP.get().filter(|openmp| openmp.process == std::process::id())
    }

    /// Returns the number of threads that torch uses for an operation that the calling thread starts.
    fn count(&self, py: Python<'_>) -> usize {
        thread_local! {
            static INITIALIZED: Cell<bool> = const { Cell::new(false) };
        }
        // OpenMP stores a thread count for each calling thread. torch copies its own setting to this count only when
        // the thread first calls get_num_threads.
        if !INITIALIZED.replace(true) {
            let _ = py.import("torch").and_then(|torch| torch.call_method0("get_num_threads"));
        }
        // SAFETY: the function takes no arguments and only reads a setting.
        unsafe { (self.max_threads)() }.unsigned_abs() as usize
    }
}

/// Returns the threads for a fill: torch's OpenMP threads if `use_openmp` has stored addresses in this process, and
/// fanin's thread pool otherwise. If `interruptible` is true, returns the pool. An interruptible fill runs on a new
/// thread, and OpenMP would start further threads for each new thread.
pub fn threads(py: Python<'_>, interruptible: bool) -> Threads {
    match OpenMp::current() {
        Some(openmp) if !interruptible => Threads::Team(Team::new(openmp.count(py), parallel)),
        _ => Threads::Pool,
    }
}

/// Returns the number of threads that torch uses, or the number of CPUs if `use_openmp` has not stored addresses in
/// this process.
pub fn count(py: Python<'_>) -> usize {
    OpenMp::current().map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |openmp| openmp.count(py),
    )
}

/// Calls `work` on each of `count` OpenMP threads, and waits until all calls have returned.
fn parallel(count: usize, work: &(dyn Fn() + Sync)) {
    extern "C" fn member(work: *mut c_void) {
        // SAFETY: `work` is the address of `data` below, which outlives the parallel region.
        unsafe { (*work.cast::<&(dyn Fn() + Sync)>())() }
    }
    let Some(openmp) = OPENMP.get() else { return work() };
    let mut data = work;
    // SAFETY: `GOMP_parallel` calls `member` with the address of `data`, and returns only when all calls have returned.
    // `work` is Sync, so several threads may call it at the same time.
    unsafe { (openmp.parallel)(member, std::ptr::from_mut(&mut data).cast(), count as c_uint, 0) }
}
