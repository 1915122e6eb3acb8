//! The threads that torch keeps for its own operations, put to work for fills.
//!
//! torch shares its operations by OpenMP, whose threads look out for more work for some milliseconds after each. A fill on
//! threads of another pool would find the CPUs taken by those that wait: measured, it takes twice as long then. On torch's
//! own threads it begins at once, and `torch.set_num_threads` holds for it.

use std::cell::Cell;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use fanin::{Team, Threads};
use pyo3::prelude::*;

/// `GOMP_parallel(function, data, threads, flags)`: calls `function(data)` on each of so many threads, this one among them.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// `omp_get_max_threads()`: how many the calling thread's next parallel work may have.
type MaxThreads = unsafe extern "C" fn() -> c_int;

/// torch's OpenMP, as this process knows it.
struct OpenMp {
    parallel: Parallel,
    max_threads: MaxThreads,
    /// The process whose threads they are: one that is forked off it has none of them, and OpenMP would wait for them.
    home: u32,
}

static OPENMP: OnceLock<OpenMp> = OnceLock::new();

/// Says where the functions `GOMP_parallel` and `omp_get_max_threads` of torch's OpenMP are.
#[pyfunction]
pub fn use_openmp(parallel: usize, max_threads: usize) {
    if parallel == 0 || max_threads == 0 {
        return;
    }
    // SAFETY: `_threads.py` found the addresses under these names in the library that torch has loaded, which stays.
    let (parallel, max_threads) = unsafe {
        (
            std::mem::transmute::<usize, Parallel>(parallel),
            std::mem::transmute::<usize, MaxThreads>(max_threads),
        )
    };
    let _ = OPENMP.set(OpenMp { parallel, max_threads, home: std::process::id() });
}

impl OpenMp {
    /// If torch has said where it is, and this is the process it was in.
    fn here() -> Option<&'static Self> {
        OPENMP.get().filter(|openmp| openmp.home == std::process::id())
    }

    /// As many as torch was told to have.
    fn count(&self, py: Python<'_>) -> usize {
        thread_local! {
            static ASKED: Cell<bool> = const { Cell::new(false) };
        }
        // OpenMP has a setting for each thread, and torch hands its own on when a thread first asks for it.
        if !ASKED.replace(true) {
            let _ = py.import("torch").and_then(|torch| torch.call_method0("get_num_threads"));
        }
        // SAFETY: the function takes nothing and reads a setting.
        unsafe { (self.max_threads)() }.unsigned_abs() as usize
    }
}

/// torch's threads; a pool, where they are not known, and for work that is `attended`: that runs on a thread of its own,
/// for which OpenMP would make others.
pub fn threads(py: Python<'_>, attended: bool) -> Threads {
    match OpenMp::here() {
        Some(openmp) if !attended => Threads::Team(Team::new(openmp.count(py), parallel)),
        _ => Threads::Pool,
    }
}

/// How many threads torch has; where it is not known, how many there can be.
pub fn count(py: Python<'_>) -> usize {
    OpenMp::here().map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |openmp| openmp.count(py),
    )
}

fn parallel(count: usize, work: &(dyn Fn() + Sync)) {
    extern "C" fn member(work: *mut c_void) {
        // SAFETY: `data` below, which outlives the parallel region.
        unsafe { (*work.cast::<&(dyn Fn() + Sync)>())() }
    }
    let Some(openmp) = OPENMP.get() else { return work() };
    let mut data = work;
    // SAFETY: the function calls `member(data)` on threads that all come back before it returns. `work` may be called on
    // any of them at once (Sync).
    unsafe { (openmp.parallel)(member, std::ptr::from_mut(&mut data).cast(), count as c_uint, 0) }
}
