//! Cancellation of fills from other threads.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A token that cancels running fills from another thread, for programs that must respond to a user during a long fill.
///
/// Clones share the same state.
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
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all work that runs under this token. The work ends within some milliseconds. A token stays cancelled.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the token has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work` under this token, and returns its result, or `None` if the token was cancelled before `work` ended.
    ///
    /// After `None` some values have been written and others have not. Drop a generator from which `work` was drawing.
    ///
    /// Work that `work` itself hands to other threads does not run under the token: call `run` there as well. `work`
    /// should not wait in a rayon pool, because a waiting thread runs other work of the pool, which would be cancelled
    /// too. Fills that take their threads from a pool take care of both.
    ///
    /// Work is cancelled by unwinding. A program that is built with `panic = "abort"` aborts when a token is cancelled.
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

/// The token under which the work of a thread runs, if there is one. Threads that do part of the work must run under it
/// too.
#[derive(Clone)]
pub(crate) struct CurrentToken(Option<CancelToken>);

impl CurrentToken {
    /// No token: for a thread that waits, and may run unrelated work meanwhile.
    pub(crate) const NONE: Self = Self(None);

    /// The token of the calling thread.
    pub(crate) fn get() -> Self {
        Self(CURRENT.with_borrow(Clone::clone))
    }

    /// Runs `work` on this thread under this token, in place of the thread's own.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Restores the thread's own token when dropped.
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

/// Ends the work of this thread, by unwinding, if its token has been cancelled. Long loops call this every few
/// milliseconds; it takes nanoseconds.
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
