//! A token with which one thread cancels a fill in another thread.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A token with which one thread cancels a fill in another thread. Interactive programs need this to stop long fills.
///
/// Clones share one state. Cancelling a token therefore also cancels its clones.
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
    /// Returns a new token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels this token and its clones. A fill that runs in [`CancelToken::run`] of one of these tokens ends within
    /// milliseconds. A cancelled token cannot be reset.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns true if the token, or a clone of it, has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Calls `work` so that this token can cancel it. Returns the result of `work`, or `None` if the token was
    /// cancelled before `work` returned. If the token is already cancelled, `work` is not called.
    ///
    /// After `None`, some values may have been written. If `work` was drawing from a generator, do not use this
    /// generator again: its state is unspecified.
    ///
    /// The token applies to the calling thread only. Therefore, there are two rules for `work`:
    ///
    /// * If `work` starts other threads, each of these threads must call `run` as well.
    /// * `work` should not wait for a rayon pool. During the wait, the pool may execute unrelated jobs on this thread,
    ///   and a cancellation would cancel these jobs too.
    ///
    /// A fill that uses several threads obeys both rules.
    ///
    /// Cancellation unwinds the stack like a panic, but prints nothing. A fill checks the token every few milliseconds,
    /// and unwinds if the token is cancelled. `run` catches the unwinding. If a program is built with
    /// `panic = "abort"`, a cancelled fill therefore aborts the program.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| CurrentToken(Some(self.clone())).run(work))) {
            Ok(result) => (!self.is_cancelled()).then_some(result),
            Err(reason) if reason.is::<Cancelled>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// The panic payload of a cancellation. [`CancelToken::run`] recognizes a cancelled fill by this type.
struct Cancelled;

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// The token of a thread, or `None`. If a fill starts threads, they must run with the token of the calling thread.
#[derive(Clone)]
pub(crate) struct CurrentToken(Option<CancelToken>);

impl CurrentToken {
    /// No token. A thread must have no token while it waits for a thread pool, because the pool may execute unrelated
    /// work on this thread.
    pub(crate) const NONE: Self = Self(None);

    /// Returns the token of the calling thread.
    pub(crate) fn get() -> Self {
        Self(CURRENT.with_borrow(Clone::clone))
    }

    /// Runs `work` with this token, and then restores the thread's previous token. If this token is already cancelled,
    /// unwinds without calling `work`.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Restores the previous token of the thread when dropped, also after a panic.
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

/// Unwinds the calling thread if its token has been cancelled. [`CancelToken::run`] catches the unwinding.
///
/// Long loops must call this function every few milliseconds. A call takes nanoseconds.
pub(crate) fn check() {
    if CURRENT.with_borrow(|token| token.as_ref().is_some_and(CancelToken::is_cancelled)) {
        // Unlike `panic!`, `resume_unwind` does not call the panic hook, so nothing is printed.
        resume_unwind(Box::new(Cancelled) as Box<dyn Any + Send>);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_returns_none_if_the_token_is_cancelled_at_the_end_of_the_work() {
        let token = CancelToken::new();
        assert!(token.run(|| token.cancel()).is_none());
    }
}
