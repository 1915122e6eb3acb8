//! Threads that are the caller's own.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::fn_addr_eq;
use std::sync::{Mutex, PoisonError};

use super::stop::Watch;

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
    pub const fn new(count: usize, run: fn(usize, &(dyn Fn() + Sync))) -> Self {
        Self { count, run }
    }

    pub(super) fn count(self) -> usize {
        self.count.max(1)
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
        (self.run)(count, &member);
        member();
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
