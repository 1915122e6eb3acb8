//! Cancellation of fills from other threads.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A token with which a thread cancels fills that run on other threads. It is meant for programs that must respond to a
/// user during a long fill.
///
/// All clones of a token share the same state.
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
    /// Creates a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all work that runs under this token. Long fills check the token every few milliseconds, and end by
    /// unwinding. A token stays cancelled forever.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the token has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work` under this token. Returns the result of `work`, or `None` if the token was cancelled before `work`
    /// ended.
    ///
    /// After `None`, some values have been written and others have not. If `work` used a generator, drop the generator:
    /// its state is unspecified.
    ///
    /// If `work` starts jobs on other threads, these jobs do not run under the token unless they call `run` as well.
    /// `work` should not wait in a rayon pool, because a waiting thread runs other jobs of the pool, which would be
    /// cancelled too. Fills that use the threads of a pool handle both cases.
    ///
    /// Work is cancelled by unwinding. A program that is built with `panic = "abort"` therefore aborts when running
    /// work is cancelled.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| CurrentToken(Some(self.clone())).run(work))) {
            Ok(result) => (!self.is_cancelled()).then_some(result),
            Err(reason) if reason.is::<Cancelled>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// The payload of the unwinding that cancels work.
struct Cancelled;

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// The token under which a thread runs its work, or no token. Other threads that do part of this work must run under
/// the same token.
#[derive(Clone)]
pub(crate) struct CurrentToken(Option<CancelToken>);

impl CurrentToken {
    /// No token. A thread runs under `NONE` while it waits, because it may run unrelated work meanwhile.
    pub(crate) const NONE: Self = Self(None);

    /// Returns the token of the calling thread.
    pub(crate) fn get() -> Self {
        Self(CURRENT.with_borrow(Clone::clone))
    }

    /// Runs `work` on this thread under this token. Restores the previous token of the thread afterwards.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Restores the previous token of the thread when dropped.
        struct Restore(Option<CancelToken>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(self.0.clone()));
        check();
        work()
    }
}

/// Ends the work of this thread by unwinding if the token of the thread has been cancelled. [`CancelToken::run`]
/// catches the unwinding. Long loops call this function every few milliseconds. A call takes nanoseconds.
pub(crate) fn check() {
    if CURRENT.with_borrow(|token| token.as_ref().is_some_and(CancelToken::is_cancelled)) {
        // Unlike `panic!`, this calls no panic hook and prints nothing.
        resume_unwind(Box::new(Cancelled) as Box<dyn Any + Send>);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_cancelled_at_the_end_of_the_work_is_noticed() {
        let token = CancelToken::new();
        assert!(token.run(|| token.cancel()).is_none());
    }
}
