//! Fills that can be given up from outside.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch that ends the fills of another thread: for whoever must answer to a user while a long one runs.
///
/// ```
/// use fanin::{Stop, Torch, init};
/// let stop = Stop::new();
/// let mut w = vec![0f32; 1 << 20];
/// let mut fill = || init::trunc_normal(0.0, 1.0).fill(&mut w, &[1 << 20], &mut Torch::new(0));
/// assert!(stop.guard(&mut fill).is_some());
/// stop.set(); // at any time, from any thread
/// assert!(stop.guard(&mut fill).is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A switch that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what this switch guards, soon: some milliseconds of work may still be done. It stays set.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has been set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work`. `None` if the switch was set before it had ended: some values have been written then and others not,
    /// and a generator that it was drawing from is to be thrown away.
    ///
    /// Work is given up by unwinding: built with `panic = "abort"`, a program that sets the switch ends.
    pub fn guard<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| Watch(Some(self.clone())).over(work))) {
            Ok(result) => Some(result),
            Err(reason) if reason.is::<Stopped>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// What work is unwound with.
struct Stopped;

thread_local! {
    static WATCHED: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// The switch that a thread's work is watching, if it does: to be handed on to the threads that share the work.
#[derive(Clone)]
pub(super) struct Watch(Option<Stop>);

impl Watch {
    /// That of the calling thread.
    pub(super) fn current() -> Self {
        Self(WATCHED.with_borrow(Clone::clone))
    }

    /// Runs `work` on this thread under this switch.
    pub(super) fn over<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.0.is_none() {
            return work();
        }
        /// Gives the thread the switch back that it had before: it may have been in the middle of other work.
        struct Before(Option<Stop>);
        impl Drop for Before {
            fn drop(&mut self) {
                WATCHED.set(self.0.take());
            }
        }
        let _before = Before(WATCHED.replace(self.0.clone()));
        checkpoint();
        work()
    }
}

/// Where long work looks whether it is still wanted. Costs nanoseconds.
pub(crate) fn checkpoint() {
    if WATCHED.with_borrow(|stop| stop.as_ref().is_some_and(Stop::is_set)) {
        // Not a panic: no hook is called, nothing is printed.
        resume_unwind(Box::new(Stopped) as Box<dyn Any + Send>);
    }
}
