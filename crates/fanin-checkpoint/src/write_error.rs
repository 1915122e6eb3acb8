//! Errors that occur while a file is written.

use std::io::{ErrorKind, Write};
use std::path::Path;

use fanin_recipe::text;

use crate::error::Error;

/// A writer that counts the bytes that the operating system has accepted.
pub(crate) struct CountingWriter<W> {
    pub(crate) inner: W,
    /// The number of bytes written.
    pub(crate) written: u64,
}

impl<W> CountingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, written: 0 }
    }
}

impl<W: Write> Write for CountingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Returns the error for a write that failed after `written` bytes. If the disk is full or a size limit is reached, the
/// message has a remedy.
pub(crate) fn write_error(path: &Path, written: u64, error: std::io::Error) -> Error {
    let limit = match error.kind() {
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the disk quota is exceeded",
        ErrorKind::FileTooLarge => {
            "the file reached the maximum file size (ulimit -f, or the limit of the file system)"
        }
        _ => return Error::io("write", path)(error),
    };
    let written = text::bytes(written);
    let message =
        format!("{limit} after {written}: free space, choose another folder, or write less ({error})");
    Error::file(path, message)
}
