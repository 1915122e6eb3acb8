//! The threads that a fill uses.

mod team;

use crate::cancel::check;
pub use team::Team;

/// The threads that a fill may use. The values that a fill writes do not depend on the threads.
///
/// ```
/// use fanin::{Native, Threads, init};
/// let alone = Native::new(0).with_threads(Threads::One);
/// # #[cfg(feature = "rayon")] {
/// // A fill inside `install` uses the threads of that pool.
/// let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
/// let mut parallel = vec![0f32; 1 << 20];
/// let mut serial = parallel.clone();
/// pool.install(|| init::normal(0.0, 1.0).fill(&mut parallel, &[1 << 20], &mut Native::new(0).tensor("w")))?;
/// init::normal(0.0, 1.0).fill(&mut serial, &[1 << 20], &mut alone.tensor("w"))?;
/// assert_eq!(parallel, serial);
/// # }
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Threads {
    /// The threads of a rayon pool. A fill inside `ThreadPool::install` uses that pool. Any other fill uses the global
    /// pool. The global pool has one thread for each core, unless the environment variable RAYON_NUM_THREADS sets
    /// another number.
    ///
    /// In three cases, a fill runs on the calling thread alone:
    /// * The fill is small.
    /// * The feature `rayon` is off.
    /// * The process is the child of a fork, and the parent had run a fill before the fork. The threads of the pool do
    ///   not exist in the child process, so a parallel fill would never end.
    #[default]
    Pool,
    /// The calling thread only.
    One,
    /// Threads that the caller provides. They need not be a rayon pool. This variant needs no feature.
    Team(Team),
}

impl Threads {
    /// Returns the number of threads.
    pub(crate) fn count(self) -> usize {
        self.team().map_or(1, Team::count)
    }

    /// Returns the threads as a team, or `None` if the work must run on the calling thread only.
    fn team(self) -> Option<Team> {
        let team = match self {
            _ if is_forked() => return None,
            #[cfg(feature = "rayon")]
            Threads::Pool => Team::new(rayon::current_num_threads(), run_on_pool),
            Threads::Team(team) => team,
            _ => return None,
        };
        (team.count() > 1).then_some(team)
    }

    /// Calls `work` on each of `jobs` in parallel, and returns the results in the order of the jobs.
    ///
    /// Jobs begin in the order of `jobs`, so long jobs should be first. Before each job, [`check`] unwinds if the fill
    /// has been cancelled.
    pub(crate) fn map<J: Send, R: Send>(self, jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
        self.map_dyn(jobs, &work)
    }

    /// Implements [`Threads::map`]. The trait object avoids a compiled copy of this function for each closure.
    fn map_dyn<J: Send, R: Send>(self, jobs: Vec<J>, work: &(dyn Fn(J) -> R + Sync)) -> Vec<R> {
        if jobs.len() > 1
            && let Some(team) = self.team()
        {
            return team.map(jobs, work);
        }
        let work = |job| {
            check();
            work(job)
        };
        jobs.into_iter().map(work).collect()
    }

    /// Calls `work` on each of `jobs` in parallel, as [`Threads::map`] does, but returns no results.
    pub(crate) fn for_each<J: Send>(self, jobs: Vec<J>, work: impl Fn(J) + Sync) {
        self.map(jobs, work);
    }

    /// Splits `slice` into chunks of `length` elements, and calls `work` on each chunk in parallel. The last chunk may
    /// be shorter. The first argument of `work` is the index in `slice` at which the chunk begins.
    pub(crate) fn chunks<T: Send>(
        self,
        slice: &mut [T],
        length: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        self.chunks_dyn(slice, length, &work);
    }

    /// Implements [`Threads::chunks`]. The trait object avoids a compiled copy of this function for each closure.
    fn chunks_dyn<T: Send>(self, slice: &mut [T], length: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
        // A single chunk needs no list of jobs, and therefore no allocation.
        if (1..=length).contains(&slice.len()) {
            check();
            return work(0, slice);
        }
        let chunks = slice.chunks_mut(length).enumerate().collect();
        self.for_each(chunks, |(number, chunk): (usize, &mut [T])| work(number * length, chunk));
    }
}

/// Calls `work` `count` times in parallel on the current rayon pool. [`Threads::Pool`] passes this function to
/// [`Team::new`].
#[cfg(feature = "rayon")]
fn run_on_pool(count: usize, work: &(dyn Fn() + Sync)) {
    rayon::scope(|scope| (0..count).for_each(|_| scope.spawn(|_| work())));
}

/// Returns `true` if this process was forked from the process that first called this function.
fn is_forked() -> bool {
    static FIRST_PROCESS: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *FIRST_PROCESS.get_or_init(std::process::id) != std::process::id()
}

#[cfg(all(test, feature = "rayon"))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::CancelToken;

    #[test]
    fn a_token_does_not_cancel_unrelated_work_that_a_waiting_thread_runs() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let (token, both) = (CancelToken::new(), Barrier::new(2));
        let (done, complete) = (AtomicBool::new(false), AtomicBool::new(false));
        pool.scope(|scope| {
            scope.spawn(|scope| {
                let cancellable = std::thread::current().id();
                let ended = token.run(|| {
                    // Each of the two threads runs one job. The thread `cancellable` cancels the token, and then runs
                    // the unrelated work while it waits for the other job. The other job ends only after the unrelated
                    // work.
                    Threads::Pool.for_each(vec![(); 2], |()| {
                        both.wait();
                        if std::thread::current().id() == cancellable {
                            token.cancel();
                            scope.spawn(|_| {
                                let foreign = || Threads::Pool.for_each(vec![(); 5], |()| check());
                                let end = catch_unwind(AssertUnwindSafe(foreign));
                                complete.store(end.is_ok(), Ordering::Relaxed);
                                done.store(true, Ordering::Release);
                            });
                        } else {
                            let begun = Instant::now();
                            while !done.load(Ordering::Acquire) {
                                let waited = begun.elapsed();
                                assert!(waited < Duration::from_secs(60), "the unrelated work does not run");
                                std::thread::yield_now();
                            }
                        }
                    });
                });
                assert!(ended.is_none());
            });
        });
        assert!(complete.into_inner(), "the token cancelled work that did not run under this token");
    }

    #[test]
    fn after_parallel_work_the_calling_thread_runs_under_its_token_again() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let token = CancelToken::new();
        let in_parallel = |work: fn(usize)| Threads::Pool.for_each((0..9).collect(), work);
        let cancellable = || {
            in_parallel(|_| ());
            assert!(catch_unwind(|| in_parallel(|_| resume_unwind(Box::new("a fault")))).is_err());
            token.cancel();
            check();
            unreachable!("the check ends the work");
        };
        let ended = pool.install(|| token.run(cancellable));
        assert!(ended.is_none());
    }
}
