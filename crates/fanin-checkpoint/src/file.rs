//! `SafetensorsFile`, one safetensors file that is open for reading.

use std::fs::File;
use std::path::{Path, PathBuf};

use fanin_recipe::header::SafetensorsHeader;
use fanin_recipe::{Entry, Manifest};

use crate::error::{Error, Result};

/// A safetensors file that is open for reading. The header is read when the file is opened. Several threads may read
/// values at the same time.
#[derive(Debug)]
pub struct SafetensorsFile {
    /// The tensors, in the order of their values in the file.
    pub manifest: Manifest,
    path: PathBuf,
    file: File,
    /// The offset of the tensor data from the start of the file, in bytes.
    data: u64,
}

impl SafetensorsFile {
    /// Opens a file and reads its header. The length of the header is compared with the size of the file before memory
    /// for the header is allocated.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if its header is invalid, or if the header does not match the file
    /// size.
    pub fn open(path: &Path) -> Result<Self> {
        let SafetensorsHeader { manifest, file, data } = SafetensorsHeader::read(path)?;
        Ok(Self { manifest, path: path.to_owned(), file, data })
    }

    /// Reads bytes of a tensor into `bytes`. The first of these bytes is at `offset` in the tensor.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, entry: &Entry, offset: u64, bytes: &mut [u8]) -> Result {
        let (start, _) = entry.offsets.expect("every tensor of a safetensors file has offsets");
        read_exact_at(&self.file, self.data + start + offset, bytes).map_err(Error::io("read", &self.path))
    }
}

/// Fills `bytes` from the file, starting at `offset`. Several threads can read the file at the same time, because the
/// current position of the file is not used.
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
