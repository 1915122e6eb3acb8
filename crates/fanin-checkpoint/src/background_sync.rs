//! `BackgroundSync`, a thread that synchronizes a file with the disk while the next values of the file are generated.

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A thread that calls `sync_data` on a file while another thread writes the file.
///
/// Without this thread, the operating system keeps gigabytes of written data in memory. The final `sync_all` then waits
/// until all of this data is on the disk.
pub(crate) struct BackgroundSync {
    requests: Sender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl BackgroundSync {
    /// Starts the thread, and requests the first synchronization. Returns `None` if the thread cannot be started. The
    /// final `sync_all` of the caller is then sufficient.
    pub(crate) fn start(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (requests, received): (_, Receiver<()>) = channel();
        let work = move || {
            while received.recv().is_ok() {
                // One synchronization serves all requests that have already arrived, so these requests are removed.
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

    /// Requests a synchronization, and does not wait for its end. After a failed synchronization, requests are ignored,
    /// and [`finish`](Self::finish) returns the error.
    pub(crate) fn request(&self) {
        _ = self.requests.send(());
    }

    /// Waits until all requested synchronizations are done. Returns the first error of the thread. The caller must not
    /// ignore this error, because the operating system reports a write error only once.
    pub(crate) fn finish(self) -> std::io::Result<()> {
        drop(self.requests);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
