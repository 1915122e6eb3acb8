//! Reports the progress of an operation that reads or writes a checkpoint.

/// Receives progress reports from an operation that reads or writes a checkpoint. The type `()` ignores the reports.
pub trait Progress: Sync {
    /// Reports that `values` more values have been read or written, which take `bytes` bytes.
    fn add(&self, values: u64, bytes: u64);
}

impl Progress for () {
    fn add(&self, _: u64, _: u64) {}
}
