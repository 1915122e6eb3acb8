//! Long work, and Ctrl-C meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanin::CancelToken;
use pyo3::prelude::*;

/// How long a user may wait for an answer.
const GLANCE: Duration = Duration::from_millis(20);

/// Runs `work` while other Python threads run, and gives it up if a signal handler raises.
///
/// Fills in it give up by themselves; threads that it starts guard theirs by the switch that it is handed. Signals are Python's to answer, on the main thread: so the work is done on a thread of its own, which costs some tens of
/// microseconds.
///
/// # Errors
/// What the handler raised, KeyboardInterrupt for Ctrl-C. The work has ended then, somewhere in its middle.
pub fn attended<R: Send>(py: Python<'_>, work: impl FnOnce(&CancelToken) -> R + Send) -> PyResult<R> {
    let (token, done) = (CancelToken::new(), AtomicBool::new(false));
    let waiting = std::thread::current();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = token.run(|| work(&token));
            done.store(true, Ordering::Release);
            waiting.unpark();
            result
        });
        let mut raised = Ok(());
        while !done.load(Ordering::Acquire) && !worker.is_finished() {
            py.detach(|| std::thread::park_timeout(GLANCE));
            if raised.is_ok() {
                raised = py.check_signals();
                if raised.is_err() {
                    token.cancel();
                }
            }
        }
        let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        raised.map(|()| result.expect("only a signal stops it"))
    })
}
