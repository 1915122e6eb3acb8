//! Threads that are the caller's own.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::fn_addr_eq;
use std::sync::{Mutex, PoisonError};

use crate::cancel::Watch;

/// How threads are put to work: calls what it is given on up to so many of them at once, and returns when all have.
type Run = fn(usize, &(dyn Fn() + Sync));

/// Threads of the caller's own that fills are to share: those of another library, or some that are made for a fill.
///
/// ```
/// use fanin::{Native, Team, Threads, init};
/// fn scoped(count: usize, work: &(dyn Fn() + Sync)) {
///     std::thread::scope(|scope| (0..count).for_each(|_| { scope.spawn(work); }));
/// }
/// let team = Threads::Team(Team::new(3, scoped));
/// let (mut shared, mut serial) = (vec![0f32; 1 << 20], vec![0f32; 1 << 20]);
/// init::normal(0.0, 1.0).fill(&mut shared, &[1 << 20], &mut Native::new(0).with_threads(team).tensor("w"))?;
/// init::normal(0.0, 1.0).fill(&mut serial, &[1 << 20], &mut Native::new(0).tensor("w"))?;
/// assert_eq!(shared, serial);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Team {
    count: usize,
    run: Run,
}

impl Team {
    /// `count` threads, put to work by `run(count, work)`: it calls `work` on each of them, and returns when all calls
    /// have. Calls on fewer threads, or none, cost time and no more: what they leave, the calling thread does. In a
    /// process forked off after a fill, `run` is not called: threads do not survive a fork.
    ///
    /// More than 2^16 threads count as so many. `run` is never called from inside of `work`.
    pub const fn new(count: usize, run: fn(usize, &(dyn Fn() + Sync))) -> Self {
        const MOST: usize = 1 << 16;
        Self { count: if count < MOST { count } else { MOST }, run }
    }

    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Runs `work` on each of `jobs`, begun in their order, and gives back what comes of them in theirs.
    pub(super) fn map<J: Send, R: Send>(self, jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
        let count = self.count.min(jobs.len());
        let watch = Watch::current();
        let waiting = Mutex::new(jobs.into_iter().enumerate());
        let done = Mutex::new(Vec::with_capacity(count));
        let fault: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
        let member = || {
            loop {
                let Some((number, job)) = lock(&waiting).next() else { return };
                match catch_unwind(AssertUnwindSafe(|| watch.over(|| work(job)))) {
                    Ok(result) => lock(&done).push((number, result)),
                    Err(reason) => {
                        // The first is told; nobody begins anything after it.
                        lock(&fault).get_or_insert(reason);
                        lock(&waiting).by_ref().for_each(drop);
                    }
                }
            }
        };
        // While this thread waits, a pool may give it other work.
        Watch::NONE.over(|| {
            (self.run)(count, &member);
            member();
        });
        if let Some(reason) = lock(&fault).take() {
            resume_unwind(reason);
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

/// Nobody panics who holds one of these.
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{CancelToken, Threads};

    fn scoped(count: usize, work: &(dyn Fn() + Sync)) {
        std::thread::scope(|scope| {
            for _ in 0..count {
                scope.spawn(work);
            }
        });
    }

    /// Calls nothing.
    fn idle(_: usize, _: &(dyn Fn() + Sync)) {}

    const TEAMS: [Team; 3] = [Team::new(5, scoped), Team::new(2, scoped), Team::new(3, idle)];

    #[test]
    fn every_job_is_done_once_and_answers_in_its_place() {
        for team in TEAMS {
            let squares = Threads::Team(team).map((0..100).collect(), |k: usize| k * k);
            assert_eq!(squares, (0..100).map(|k| k * k).collect::<Vec<_>>(), "{team:?}");
            let mut counts = [0u8; 1000];
            Threads::Team(team).chunks(&mut counts, 7, |first, part| {
                for (place, count) in (first..).zip(part) {
                    *count += 1 + (place % 3) as u8;
                }
            });
            assert!(counts.iter().enumerate().all(|(place, &count)| count == 1 + (place % 3) as u8));
            let sum = AtomicUsize::new(0);
            Threads::Team(team).in_turn((1..=10).collect(), |k: usize| {
                sum.fetch_add(k, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 55);
        }
    }

    #[test]
    fn no_count_is_too_large() {
        let plan =
            crate::Plan::new(&[30, 30], crate::DType::F32, crate::Distribution::Orthogonal { gain: 1.0 })
                .unwrap();
        let filled = |threads| {
            let mut memory = vec![0f32; plan.len()];
            plan.fill(&mut memory, &mut crate::Native::new(0).with_threads(threads).tensor("w")).unwrap();
            memory
        };
        for count in [1 << 40, 1 << 63, usize::MAX] {
            assert!(filled(Threads::Team(Team::new(count, idle))) == filled(Threads::One), "{count}");
        }
    }

    #[test]
    fn the_threads_are_the_teams() {
        let here = std::thread::current().id();
        // Each job waits for the other: one thread alone would not end.
        let meeting = std::sync::Barrier::new(2);
        let who = Threads::Team(Team::new(2, scoped)).map(vec![(); 2], |()| {
            meeting.wait();
            std::thread::current().id()
        });
        assert!(who[0] != who[1] && !who.contains(&here));
    }

    #[test]
    fn a_panic_comes_back_to_the_caller() {
        for team in TEAMS {
            let work = |k: usize| assert_ne!(k, 3, "the third");
            let found = catch_unwind(|| Threads::Team(team).in_turn((0..50).collect(), work)).unwrap_err();
            assert!(found.downcast_ref::<String>().is_some_and(|text| text.contains("the third")));
        }
    }

    #[test]
    fn a_switch_ends_the_work_of_a_team() {
        for team in TEAMS {
            let (token, begun) = (CancelToken::new(), AtomicUsize::new(0));
            let ended = token.run(|| {
                Threads::Team(team).in_turn((0..10_000).collect(), |_: usize| {
                    token.cancel();
                    begun.fetch_add(1, Ordering::Relaxed);
                });
            });
            assert!(ended.is_none() && begun.into_inner() <= 5);
        }
    }
}
