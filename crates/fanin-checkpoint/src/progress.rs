//! `Progress`, which receives progress reports.

/// A receiver of progress reports from an operation that reads or writes a checkpoint. The type `()` ignores the
/// reports.
pub trait Progress: Sync {
    /// Reports that `values` more values have been read or written. They take `bytes` bytes.
    fn add(&self, values: u64, bytes: u64);
}

impl Progress for () {
    fn add(&self, _: u64, _: u64) {}
}
