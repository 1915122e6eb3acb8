//! Long work that Ctrl-C can interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanin::CancelToken;
use pyo3::prelude::*;

/// The number of values from which a fill takes long enough that a user may want to interrupt it.
pub const MIN_VALUES: usize = 1 << 25;

/// The time between two checks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs `work` with the GIL released, and cancels it if a Python signal handler raises.
///
/// Fills in `work` stop by themselves when they are cancelled. Threads that `work` starts must run their fills under the
/// token that it is passed. Python handles signals on the main thread only, so `work` runs on a thread of its own, which
/// costs some tens of microseconds.
///
/// # Errors
/// The exception that the handler raised: KeyboardInterrupt for Ctrl-C. `work` has then stopped part of the way through.
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
