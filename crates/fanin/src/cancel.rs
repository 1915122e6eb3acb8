//! Fills that can be given up from outside.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch that ends the fills of another thread: for whoever must answer to a user while a long one runs.
///
/// ```
/// use fanin::{CancelToken, Torch, init};
/// let token = CancelToken::new();
/// let mut w = vec![0f32; 1 << 20];
/// let mut fill = || init::trunc_normal(0.0, 1.0).fill(&mut w, &[1 << 20], &mut Torch::new(0));
/// assert!(token.run(&mut fill).is_some());
/// token.cancel(); // at any time, from any thread
/// assert!(token.run(&mut fill).is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A switch that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what this switch guards, soon: some milliseconds of work may still be done. It stays set.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work`. `None` if the switch was set before it had ended: some values have been written then and others not,
    /// and a generator that it was drawing from is to be thrown away.
    ///
    /// Fills that `work` hands to other threads are to be guarded there. It should not itself wait in a rayon pool: a thread
    /// that waits does other work of the pool meanwhile, which would be ended too. Fills that take their threads from a pool
    /// see to this.
    ///
    /// Work is given up by unwinding: built with `panic = "abort"`, a program that sets the switch ends.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| Watch(Some(self.clone())).over(work))) {
            Ok(result) => (!self.is_cancelled()).then_some(result),
            Err(reason) if reason.is::<Stopped>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// What work is unwound with.
struct Stopped;

thread_local! {
    static WATCHED: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// The switch that a thread's work is watching, if it does: to be handed on to the threads that share the work.
#[derive(Clone)]
pub(crate) struct Watch(Option<CancelToken>);

impl Watch {
    /// That of the calling thread.
    pub(crate) fn current() -> Self {
        Self(WATCHED.with_borrow(Clone::clone))
    }

    /// None: for a thread that is about to wait, and may meanwhile be given work that is not its own.
    pub(crate) const NONE: Self = Self(None);

    /// Runs `work` on this thread under this switch, and under no other.
    pub(crate) fn over<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Gives the thread the switch back that it had before.
        struct Before(Option<CancelToken>);
        impl Drop for Before {
            fn drop(&mut self) {
                WATCHED.set(self.0.take());
            }
        }
        let _before = Before(WATCHED.replace(self.0.clone()));
        check();
        work()
    }
}

/// Where long work looks whether it is still wanted. Costs nanoseconds.
pub(crate) fn check() {
    if WATCHED.with_borrow(|token| token.as_ref().is_some_and(CancelToken::is_cancelled)) {
        // Not a panic: no hook is called, nothing is printed.
        resume_unwind(Box::new(Stopped) as Box<dyn Any + Send>);
    }
}

#[cfg(all(test, feature = "rayon"))]
mod tests {
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::threads::Threads;

    #[test]
    fn work_that_a_waiting_thread_is_given_is_not_under_its_switch() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let (token, meeting) = (CancelToken::new(), Barrier::new(2));
        let (done, whole) = (AtomicBool::new(false), AtomicBool::new(false));
        pool.scope(|scope| {
            scope.spawn(|scope| {
                let guarded = std::thread::current().id();
                let ended = token.run(|| {
                    // The guarded thread is soon done with its own, and waits for the other, which waits for what it does
                    // meanwhile.
                    Threads::Pool.in_turn(vec![(); 2], |()| {
                        meeting.wait();
                        if std::thread::current().id() == guarded {
                            token.cancel();
                            scope.spawn(|_| {
                                let foreign = || Threads::Pool.in_turn(vec![(); 5], |()| check());
                                let end = catch_unwind(AssertUnwindSafe(foreign));
                                whole.store(end.is_ok(), Ordering::Relaxed);
                                done.store(true, Ordering::Release);
                            });
                        } else {
                            let begun = Instant::now();
                            while !done.load(Ordering::Acquire) {
                                assert!(begun.elapsed() < Duration::from_secs(60), "nobody does it");
                                std::thread::yield_now();
                            }
                        }
                    });
                });
                assert!(ended.is_none());
            });
        });
        assert!(whole.into_inner(), "ended by a switch that was not its own");
    }

    #[test]
    fn a_switch_is_back_after_work_that_was_shared() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let token = CancelToken::new();
        let share = |work: fn(usize)| Threads::Pool.in_turn((0..9).collect(), work);
        let guarded = || {
            share(|_| ());
            assert!(catch_unwind(|| share(|_| resume_unwind(Box::new("a fault")))).is_err());
            token.cancel();
            check();
            unreachable!("it is looked at");
        };
        let ended = pool.install(|| token.run(guarded));
        assert!(ended.is_none());
    }

    #[test]
    fn a_switch_that_is_set_before_the_end_is_seen_at_the_end() {
        let token = CancelToken::new();
        assert!(token.run(|| token.cancel()).is_none());
    }
}
