//! Functions that run fills on torch's OpenMP threads.
//!
//! torch's OpenMP threads busy-wait for some milliseconds after each torch operation. A fill on another thread pool
//! competes with these threads for the CPUs, and takes twice as long. A fill on torch's OpenMP threads starts at once.
//! `torch.set_num_threads` sets the number of OpenMP threads.

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
    /// for threads that only the parent has.
    process: u32,
}

static OPENMP: OnceLock<OpenMp> = OnceLock::new();

/// Stores the addresses of two functions of torch's OpenMP library: `GOMP_parallel` and `omp_get_max_threads`. Does
/// nothing if an address is 0, or if addresses are already stored.
#[pyfunction]
pub fn use_openmp(parallel: usize, max_threads: usize) {
    if parallel == 0 || max_threads == 0 {
        return;
    }
    // SAFETY: `_openmp.py` looks up `GOMP_parallel` and `omp_get_max_threads`, which have these types. torch never
    // unloads their library.
    let (parallel, max_threads) = unsafe {
        (
            std::mem::transmute::<usize, Parallel>(parallel),
            std::mem::transmute::<usize, MaxThreads>(max_threads),
        )
    };
    let _ = OPENMP.set(OpenMp { parallel, max_threads, process: std::process::id() });
}

impl OpenMp {
    /// Returns the functions of torch's OpenMP library. Returns `None` if `use_openmp` has not stored their addresses
    /// in this process.
    fn current() -> Option<&'static Self> {
        OPENMP.get().filter(|openmp| openmp.process == std::process::id())
    }

    /// Returns the number of threads that torch uses for an operation that the calling thread starts.
    fn count(&self, py: Python<'_>) -> usize {
        thread_local! {
            static INITIALIZED: Cell<bool> = const { Cell::new(false) };
        }
        // OpenMP stores a thread count for each calling thread. The thread's first call of get_num_threads sets this
        // count to torch's own setting.
        if !INITIALIZED.replace(true) {
            let _ = py.import("torch").and_then(|torch| torch.call_method0("get_num_threads"));
        }
        // SAFETY: the function takes no arguments and only reads a setting.
        unsafe { (self.max_threads)() }.unsigned_abs() as usize
    }
}

/// Returns the threads for a fill: torch's OpenMP threads or fanin's thread pool. OpenMP threads are returned if
/// `use_openmp` has stored the addresses of OpenMP functions in this process and `interruptible` is false. An
/// interruptible fill runs on a new thread, and OpenMP would start further threads for each new thread.
pub fn threads(py: Python<'_>, interruptible: bool) -> Threads {
    match OpenMp::current() {
        Some(openmp) if !interruptible => Threads::Team(Team::new(openmp.count(py), parallel)),
        _ => Threads::Pool,
    }
}

/// Returns the number of threads that torch uses. If `use_openmp` has not stored the addresses of OpenMP functions in
/// this process, returns the number of CPUs.
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
    // SAFETY: `GOMP_parallel` returns only when all calls of `member` have returned, so `data` outlives the calls.
    // `work` is Sync, so several threads may call it at the same time.
    unsafe { (openmp.parallel)(member, std::ptr::from_mut(&mut data).cast(), count as c_uint, 0) }
}
