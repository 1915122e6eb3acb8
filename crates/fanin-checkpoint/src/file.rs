//! Reads one safetensors file: the header when the file is opened, and the values later, in chunks.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fanin_recipe::header::SafetensorsHeader;
use fanin_recipe::{Entry, Manifest};

use crate::decode::decode;
use crate::error::{Error, Result};

/// A safetensors file, open for reading. Several threads may read it at the same time.
#[derive(Debug)]
pub struct SafetensorsFile {
    /// The tensors, in the order of their values in the file.
    pub manifest: Manifest,
    path: PathBuf,
    file: File,
    /// The offset in the file of the first tensor's first byte.
    data: u64,
}

impl SafetensorsFile {
    /// Opens a file and reads its header. The header is compared with the size of the file before memory is allocated.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if its header is invalid, or if the header does not match the file
    /// size.
    pub fn open(path: &Path) -> Result<Self> {
        let SafetensorsHeader { manifest, file, data } = SafetensorsHeader::read(path)?;
        Ok(Self { manifest, path: path.to_owned(), file, data })
    }

    /// Returns `count` values of a tensor, from row-major index `first` on, converted to f64 by [`decode`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn window(&self, entry: &Entry, first: usize, count: usize) -> Result<Vec<f64>> {
        let mut bytes = vec![0; count * entry.dtype.size()];
        self.read(entry, (first * entry.dtype.size()) as u64, &mut bytes)?;
        Ok(decode(entry.dtype, &bytes))
    }

    /// Fills `bytes` with bytes of a tensor, from byte `offset` of the tensor on.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, entry: &Entry, offset: u64, bytes: &mut [u8]) -> Result {
        let (start, _) = entry.offsets.expect("every tensor of a safetensors file has offsets");
        read_exact_at(&self.file, self.data + start + offset, bytes).map_err(Error::io("read", &self.path))
    }

    /// Calls `take` with all values of a tensor, one chunk at a time in row-major order, converted to f64 by
    /// [`decode`]. Does not call `take` if fanin cannot read the type as numbers.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn values(&self, entry: &Entry, take: impl FnMut(&[f64])) -> Result {
        self.values_of(entry, std::iter::once(0..entry.values()), take)
    }

    /// Calls `take` with the values of a tensor whose row-major indices are in `ranges`, like [`values`](Self::values).
    /// The ranges must be in ascending order and must not overlap.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn values_of(
        &self,
        entry: &Entry,
        ranges: impl Iterator<Item = Range<usize>>,
        mut take: impl FnMut(&[f64]),
    ) -> Result {
        const CHUNK: usize = 1 << 20;
        if !entry.dtype.is_read() {
            return Ok(());
        }
        // One read returns a whole chunk, including the gaps between ranges. Short ranges in the same chunk therefore need
        // only one read.
        let (mut first, mut chunk) = (0, Vec::new());
        for mut range in ranges {
            while !range.is_empty() {
                if range.start >= first + chunk.len() {
                    first = range.start;
                    chunk = self.window(entry, first, CHUNK.min(entry.values() - first))?;
                }
                let end = range.end.min(first + chunk.len());
                take(&chunk[range.start - first..end - first]);
                range.start = end;
            }
        }
        Ok(())
    }
}

/// Fills `bytes` with the bytes of the file from `offset` on. The result does not depend on the current position of the
/// file, so several threads can read the same file at the same time. The position changes on Windows, but not on Unix.
#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => (offset, bytes) = (offset + read as u64, &mut bytes[read..]),
        }
    }
    Ok(())
}
