//! The header of a safetensors file: read, and checked against the file's size.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::{MAX_HEADER_BYTES, Manifest};

/// The header of a safetensors file, and the open file.
#[derive(Debug)]
pub struct SafetensorsHeader {
    /// The tensors, in the order of their values in the file.
    pub manifest: Manifest,
    /// The file, open for reading.
    pub file: File,
    /// The offset of the first value, in bytes.
    pub data: u64,
}

impl SafetensorsHeader {
    /// Opens a safetensors file and reads its header.
    ///
    /// # Errors
    /// A file that cannot be read; a header that breaks the format or does not match the file's size.
    pub fn read(path: &Path) -> Result<Self> {
        // Looked at before it is opened: to open a pipe is to wait for who writes to it.
        let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if meta.is_dir() {
            return Err(Error::file(path, "is a folder, not a safetensors file"));
        }
        regular(path, &meta)?;
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let size = meta.len();
        let wrong = |message: String| Error::file(path, format!("not a safetensors file: {message}"));
        if size < 8 {
            return Err(wrong(format!("it has {size} bytes, and the header's length alone takes 8")));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(Error::io("read", path))?;
        let length = u64::from_le_bytes(length);
        if length > size - 8 {
            return Err(wrong(format!("a header of {length} bytes is announced, and {} follow", size - 8)));
        }
        if length > MAX_HEADER_BYTES {
            return Err(wrong(format!(
                "a header of {length} bytes is longer than the format allows ({MAX_HEADER_BYTES})"
            )));
        }
        let mut json = vec![0; length as usize];
        file.read_exact(&mut json).map_err(Error::io("read", path))?;
        let json = String::from_utf8(json).map_err(|_| wrong("the header is not UTF-8".to_owned()))?;
        let mut manifest = Manifest::from_json(&json, path)?;
        for entry in &manifest.entries {
            let Some((start, end)) = entry.offsets else {
                return Err(wrong(format!("{:?} has no data_offsets", entry.name)));
            };
            if end.checked_sub(start) != Some(entry.bytes()) {
                let (dtype, shape, bytes) = (entry.dtype, &entry.shape, entry.bytes());
                let found = format!("{:?} is {dtype} {shape:?}, {bytes} bytes", entry.name);
                return Err(wrong(format!("{found}, and its data_offsets are [{start}, {end}]")));
            }
        }
        manifest.entries.sort_by_key(|entry| entry.offsets);
        let mut at = 0;
        for entry in &manifest.entries {
            let (start, end) = entry.offsets.expect("checked above");
            if start != at {
                let what =
                    if start < at { "overlaps the tensor before it" } else { "leaves a gap before it" };
                return Err(wrong(format!("{:?} {what}: it begins at {start}, not at {at}", entry.name)));
            }
            at = end;
        }
        if size - 8 - length != at {
            let found = size - 8 - length;
            return Err(wrong(format!(
                "the tensors take {at} bytes, and {found} follow the header: truncated?"
            )));
        }
        Ok(Self { manifest, file, data: 8 + length })
    }
}

/// `Err` of a pipe, a terminal or a device: a checkpoint is read at places of one's own choice.
pub fn regular(path: &Path, meta: &Metadata) -> Result {
    match meta.is_file() {
        true => Ok(()),
        false => {
            Err(Error::file(path, "not a regular file: write it to one first, a pipe cannot be read twice"))
        }
    }
}

impl Manifest {
    /// Reads names, types and shapes from a file: a manifest in JSON, or a safetensors file, of which only the header
    /// is read.
    ///
    /// # Errors
    /// A file that cannot be read or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".json") {
            return Self::from_json(&read_json(path)?, path);
        }
        Ok(SafetensorsHeader::read(path)?.manifest)
    }
}

/// The text of a JSON file, if it is no longer than a header may be.
pub fn read_json(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if size > MAX_HEADER_BYTES {
        return Err(Error::file(path, format!("has {size} bytes: a header has at most {MAX_HEADER_BYTES}")));
    }
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}
