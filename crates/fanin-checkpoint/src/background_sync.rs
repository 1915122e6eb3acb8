//! Writing a file's data to the disk while more of it is generated.

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A thread that calls `sync_data` on a file while the file is written.
///
/// Without it, the operating system keeps gigabytes of written data in memory, and the final `sync_all` waits for all of
/// them.
pub(crate) struct BackgroundSync {
    requests: Sender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl BackgroundSync {
    /// Starts a thread for `file`, and requests the first synchronization. Returns `None` if the file's handle cannot be
    /// duplicated or no thread can be started; then the final `sync_all` does all the work.
    pub(crate) fn start(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (requests, received): (_, Receiver<()>) = channel();
        let work = move || {
            while received.recv().is_ok() {
                // One synchronization serves all requests that are waiting.
                while received.try_recv().is_ok() {}
                file.sync_data()?;
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("fanin-sync".to_owned()).spawn(work).ok()?;
        let sync = Self { requests, thread };
        sync.request();
        Some(sync)
    }

    /// Requests a synchronization, without waiting for it. After an error this does nothing: [`finish`](Self::finish)
    /// returns the error.
    pub(crate) fn request(&self) {
        _ = self.requests.send(());
    }

    /// Waits for the thread, and returns its error. The operating system reports an error of a file only once, so it
    /// must not be lost here.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        drop(self.requests);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
