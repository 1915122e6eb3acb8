//! `Team`, the threads that the caller provides.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::fn_addr_eq;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::cancel::CurrentToken;

/// A function `run(count, work)` that calls `work` at most `count` times in parallel. It returns when all calls have
/// returned.
type Run = fn(usize, &(dyn Fn() + Sync));

/// Threads that the caller provides for fills. Examples are the threads of another library, and threads that are
/// spawned for each fill.
///
/// ```
/// use fanin::{Native, Team, Threads, init};
/// fn scoped(count: usize, work: &(dyn Fn() + Sync)) {
///     std::thread::scope(|scope| (0..count).for_each(|_| { scope.spawn(work); }));
/// }
/// let team = Threads::Team(Team::new(3, scoped));
/// let (mut parallel, mut serial) = (vec![0f32; 1 << 20], vec![0f32; 1 << 20]);
/// init::normal(0.0, 1.0).fill(&mut parallel, &[1 << 20], &mut Native::new(0).with_threads(team).tensor("w"))?;
/// init::normal(0.0, 1.0).fill(&mut serial, &[1 << 20], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(parallel, serial);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Team {
    count: usize,
    run: Run,
}

impl Team {
    /// Creates a team of `count` threads. If `count` is greater than 2^16, the team has 2^16 threads.
    ///
    /// A parallel fill calls `run(n, work)` with `n <= count`. `run` should call `work` once on each of `n` threads.
    /// `run` must not return before these calls have returned. If `run` makes fewer calls, or none, the calling thread
    /// does the rest of the work. `run` is never called from inside `work`.
    ///
    /// The threads of a process do not exist in a forked child process. If the parent process ran a fill before the
    /// fork, fills in the child process therefore do not call `run`, and use one thread.
    pub const fn new(count: usize, run: fn(usize, &(dyn Fn() + Sync))) -> Self {
        const MAX: usize = 1 << 16;
        Self { count: if count < MAX { count } else { MAX }, run }
    }

    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Calls `work` on each of `jobs` in parallel. The jobs begin in the order of `jobs`. The results have the same
    /// order.
    ///
    /// # Panics
    /// Panics with the payload of the first job that panics. After a panic, no further job begins.
    pub(super) fn map<J: Send, R: Send>(self, jobs: Vec<J>, work: &(dyn Fn(J) -> R + Sync)) -> Vec<R> {
        // Until a job runs, its slot contains the job. Afterwards, the slot contains the job's result.
        let slots: Vec<Mutex<(Option<J>, Option<R>)>> =
            jobs.into_iter().map(|job| Mutex::new((Some(job), None))).collect();
        self.for_each_number(slots.len(), &|number| {
            let job = lock(&slots[number]).0.take().expect("a job runs once");
            let result = work(job);
            lock(&slots[number]).1 = Some(result);
        });
        let result = |slot: Mutex<(Option<J>, Option<R>)>| {
            slot.into_inner().unwrap_or_else(PoisonError::into_inner).1.expect("every job has run")
        };
        slots.into_iter().map(result).collect()
    }

    /// Calls `work` with each number in `0..count` in parallel. The calls begin in ascending order. Panics as
    /// [`Team::map`] does.
    ///
    /// The trait object avoids a compiled copy of this function for each closure.
    fn for_each_number(self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let token = CurrentToken::get();
        let next = AtomicUsize::new(0);
        let panic: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
        let member = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                if let Err(reason) = catch_unwind(AssertUnwindSafe(|| token.run(|| work(number)))) {
                    // The first panic is passed to the caller. No further job begins.
                    lock(&panic).get_or_insert(reason);
                    next.store(count, Ordering::Relaxed);
                }
            }
        };
        // While `run` waits, rayon may execute unrelated work on this thread. The token must not cancel that work.
        CurrentToken::NONE.run(|| {
            (self.run)(self.count.min(count), &member);
            member();
        });
        if let Some(reason) = lock(&panic).take() {
            resume_unwind(reason);
        }
    }
}

/// Locks `mutex`, and ignores poisoning. Jobs run without a lock, so a panic of a job cannot leave inconsistent data.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartialEq for Team {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && fn_addr_eq(self.run, other.run)
    }
}

impl Eq for Team {}

impl Hash for Team {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.count.hash(state);
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CancelToken, Threads};

    /// Spawns `count` threads that each call `work`. The tests pass this function to [`Team::new`] as `run`.
    fn scoped(count: usize, work: &(dyn Fn() + Sync)) {
        std::thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(work);
            }
        });
    }

    /// Returns without calling the closure. The tests pass this function to [`Team::new`] as `run`.
    fn no_calls(_: usize, _: &(dyn Fn() + Sync)) {}

    const TEAMS: [Team; 3] = [Team::new(5, scoped), Team::new(2, scoped), Team::new(3, no_calls)];

    #[test]
    fn every_job_runs_once_and_results_are_in_the_order_of_the_jobs() {
        for team in TEAMS {
            let squares = Threads::Team(team).map((0..100).collect(), |k: usize| k * k);
            assert_eq!(squares, (0..100).map(|k| k * k).collect::<Vec<_>>(), "{team:?}");
            let mut counts = [0u8; 1000];
            Threads::Team(team).chunks(&mut counts, 7, |first, chunk| {
                for (position, count) in (first..).zip(chunk) {
                    *count += 1 + (position % 3) as u8;
                }
            });
            assert!(counts.iter().enumerate().all(|(position, &count)| count == 1 + (position % 3) as u8));
            let sum = AtomicUsize::new(0);
            Threads::Team(team).for_each((1..=10).collect(), |k: usize| {
                sum.fetch_add(k, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 55);
        }
    }

    #[test]
    fn a_team_with_a_huge_number_of_threads_works() {
        let plan =
            crate::Plan::new(&[30, 30], crate::DType::F32, crate::Distribution::Orthogonal { gain: 1.0 })
                .unwrap();
        let filled = |threads| {
            let mut memory = vec![0f32; plan.len()];
            plan.fill(&mut memory, &mut crate::Native::new(0).with_threads(threads).tensor("w")).unwrap();
            memory
        };
        for count in [1 << 40, 1 << 63, usize::MAX] {
            assert!(filled(Threads::Team(Team::new(count, no_calls))) == filled(Threads::One), "{count}");
        }
    }

    #[test]
    fn jobs_run_on_the_threads_of_the_team() {
        let here = std::thread::current().id();
        // Each job waits until the other job has begun. A single thread for both jobs would wait forever.
        let both = std::sync::Barrier::new(2);
        let threads = Threads::Team(Team::new(2, scoped)).map(vec![(); 2], |()| {
            both.wait();
            std::thread::current().id()
        });
        assert!(threads[0] != threads[1] && !threads.contains(&here));
    }

    #[test]
    fn a_panic_of_a_job_reaches_the_caller() {
        for team in TEAMS {
            let work = |k: usize| assert_ne!(k, 3, "the third");
            let found = catch_unwind(|| Threads::Team(team).for_each((0..50).collect(), work)).unwrap_err();
            assert!(found.downcast_ref::<String>().is_some_and(|text| text.contains("the third")));
        }
    }

    #[test]
    fn a_cancel_token_ends_the_work_of_a_team() {
        for team in TEAMS {
            let (token, begun) = (CancelToken::new(), AtomicUsize::new(0));
            let ended = token.run(|| {
                Threads::Team(team).for_each((0..10_000).collect(), |_: usize| {
                    token.cancel();
                    begun.fetch_add(1, Ordering::Relaxed);
                });
            });
            assert!(ended.is_none() && begun.into_inner() <= 5);
        }
    }
}
