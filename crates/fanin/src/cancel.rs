//! Cancellation of fills from other threads.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A token that cancels running fills from another thread, for programs that must respond to a user during a long fill.
///
/// All clones of a token share one state: cancelling one of them cancels all of them.
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
    /// Returns a new token, which is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all work that runs under this token or under a clone of it. A running fill ends within milliseconds. A
    /// token stays cancelled.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the token or a clone of it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work` under this token. Returns the result of `work`. Returns `None` if the token was cancelled before
    /// `work` ended.
    ///
    /// If the result is `None`, `work` may have written only some of its values. The state of a generator that `work`
    /// used is then unspecified, so the generator must not be used again.
    ///
    /// The token covers the calling thread. If `work` starts threads of its own, each of them must call `run` as well.
    /// `work` should not wait for a rayon pool, because a waiting thread runs other work of the pool, which would then
    /// be cancelled too. A fill of this crate that uses several threads cancels its own work on these threads, and no
    /// other work of the pool.
    ///
    /// Cancellation is a panic that prints nothing: a fill checks the token every few milliseconds and unwinds if the
    /// token has been cancelled, and `run` catches this panic. A program that is built with `panic = "abort"` therefore
    /// aborts when a token is cancelled.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(|| CurrentToken(Some(self.clone())).run(work))) {
            Ok(result) => (!self.is_cancelled()).then_some(result),
            Err(reason) if reason.is::<Cancelled>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// The payload of the panic that cancels work. [`CancelToken::run`] recognizes a cancelled fill by this type.
struct Cancelled;

thread_local! {
    static CURRENT: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// The token under which a thread runs its current work, or no token. If a fill starts more threads, these threads must
/// run their work under the same token.
#[derive(Clone)]
pub(crate) struct CurrentToken(Option<CancelToken>);

impl CurrentToken {
    /// No token. A thread sets this while it waits for other threads, because a pool may run unrelated work on it
    /// meanwhile.
    pub(crate) const NONE: Self = Self(None);

    /// Returns the token of the calling thread.
    pub(crate) fn get() -> Self {
        Self(CURRENT.with_borrow(Clone::clone))
    }

    /// Runs `work` on the calling thread under this token, and returns its result. Afterwards the thread has its
    /// previous token again. Unwinds without running `work` if this token has been cancelled.
    pub(crate) fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Restores the previous token of the thread when it is dropped, also after a panic.
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

/// Unwinds the calling thread if its token has been cancelled. [`CancelToken::run`] catches the panic and returns
/// `None`.
///
/// Long loops must call this function every few milliseconds. A call takes nanoseconds.
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
