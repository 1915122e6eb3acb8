//! Comparison of existing files with the bytes that would be written.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A difference between an existing file and the planned file, found without reading values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderDifference {
    /// The headers differ: the existing file was written for other tensors, another seed or another recipe.
    Header,
    /// The headers are equal, but the files have different sizes.
    Size,
}

/// Compares the file at `path` with the expected `header` and the expected `size` in bytes. Returns `None` if both are
/// equal.
pub(crate) fn header_difference(path: &Path, header: &[u8], size: u64) -> Result<Option<HeaderDifference>> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut found = Vec::new();
    file.by_ref().take(header.len() as u64).read_to_end(&mut found).map_err(Error::io("read", path))?;
    if found != header {
        return Ok(Some(HeaderDifference::Header));
    }
    let found = file.metadata().map_err(Error::io("read", path))?.len();
    Ok((found != size).then_some(HeaderDifference::Size))
}

/// A comparison of a file with the expected bytes. The caller passes the expected bytes in the order of the file.
pub(crate) struct ByteComparison {
    file: File,
    path: PathBuf,
    /// The offset in the file of the next byte to be compared.
    offset: u64,
    found: Vec<u8>,
    /// The offset in the file of the first byte that differs. `None` until a difference is found.
    first_difference: Option<u64>,
}

impl ByteComparison {
    /// Opens the file at `path` for a comparison from byte `offset` on.
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        file.seek(SeekFrom::Start(offset)).map_err(Error::io("read", path))?;
        Ok(Self { file, path: path.to_owned(), offset, found: Vec::new(), first_difference: None })
    }

    /// Compares the next bytes of the file with `expected`. If a difference has been found before, this function does
    /// nothing.
    pub(crate) fn compare(&mut self, expected: &[u8]) -> Result {
        if self.first_difference.is_some() {
            return Ok(());
        }
        self.found.resize(expected.len(), 0);
        self.file.read_exact(&mut self.found).map_err(Error::io("read", &self.path))?;
        if self.found != expected {
            let differs = self.found.iter().zip(expected).position(|(found, expected)| found != expected);
            self.first_difference = differs.map(|index| self.offset + index as u64);
        }
        self.offset += expected.len() as u64;
        Ok(())
    }

    /// Returns the offset in the file of the first byte that differs, or `None` if all compared bytes are equal.
    pub(crate) fn first_difference(&self) -> Option<u64> {
        self.first_difference
    }
}
