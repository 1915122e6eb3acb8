//! The progress of operations that read or write a checkpoint.

/// Receives reports on the progress of an operation that reads or writes a checkpoint. `()` ignores the reports.
pub trait Progress: Sync {
    /// Reports that `values` more values have been read or written. They have `bytes` bytes in total.
    fn add(&self, values: u64, bytes: u64);
}

impl Progress for () {
    fn add(&self, _: u64, _: u64) {}
}
