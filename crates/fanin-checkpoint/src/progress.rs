//! Progress of long work, reported to the caller.

/// Receives the progress of reading and writing. `()` ignores it.
pub trait Progress: Sync {
    /// Called after `values` more values, which take `bytes` bytes, have been read or written.
    fn add(&self, values: u64, bytes: u64);
}

impl Progress for () {
    fn add(&self, _: u64, _: u64) {}
}
