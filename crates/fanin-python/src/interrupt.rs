//! Runs long work on a new thread, so that Ctrl-C can interrupt the work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanin::CancelToken;
use pyo3::prelude::*;

/// A fill of at least this many values takes so long that Ctrl-C must be able to interrupt the fill.
pub const MIN_VALUES: usize = 1 << 25;

/// The time between two checks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs `work` on a new thread, and returns its result. If a Python signal handler raises an exception, cancels `work`
/// and returns the exception.
///
/// The calling thread releases the GIL and checks for signals, because Python handles signals only on the main thread.
/// The new thread costs some tens of microseconds. `work` runs under the token that is passed to it. A fill checks this
/// token at regular intervals, and unwinds if the token is cancelled. A thread that `work` starts must itself call
/// [`CancelToken::run`] of this token.
///
/// # Errors
/// The exception that the signal handler raised, such as KeyboardInterrupt for Ctrl-C. `work` may then be incomplete.
pub fn interruptible<R: Send>(py: Python<'_>, work: impl FnOnce(&CancelToken) -> R + Send) -> PyResult<R> {
    let (token, done) = (CancelToken::new(), AtomicBool::new(false));
    let caller = std::thread::current();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = token.run(|| work(&token));
            done.store(true, Ordering::Release);
            caller.unpark();
            result
        });
        let mut raised = Ok(());
        while !done.load(Ordering::Acquire) && !worker.is_finished() {
            py.detach(|| std::thread::park_timeout(SIGNAL_INTERVAL));
            if raised.is_ok() {
                raised = py.check_signals();
                if raised.is_err() {
                    token.cancel();
                }
            }
        }
        let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        raised.map(|()| result.expect("only a signal cancels the token"))
    })
}
