//! Reads and validates the header of a safetensors file.

use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};
use crate::file_kind;
use crate::manifest::{MAX_HEADER_BYTES, Manifest};

/// The header of a safetensors file, and the file, open for reading.
#[derive(Debug)]
pub struct SafetensorsHeader {
    /// The tensors of the file, in the order of their data.
    pub manifest: Manifest,
    /// The file, open for reading.
    pub file: File,
    /// The offset of the tensor data from the start of the file, in bytes.
    pub data: u64,
}

impl SafetensorsHeader {
    /// Opens a safetensors file and reads its header.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if its header is invalid, or if its header does not match the size
    /// of the file.
    pub fn read(path: &Path) -> Result<Self> {
        // The file type is checked before opening: opening a pipe blocks until another process writes to it.
        let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if meta.is_dir() {
            return Err(Error::file(path, "is a directory, not a safetensors file"));
        }
        regular(path, &meta)?;
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let size = meta.len();
        let wrong = |message: String| Error::file(path, format!("not a safetensors file: {message}"));
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start).map_err(Error::io("read", path))?;
        if let Some(kind) = file_kind::of_bytes(&start) {
            return Err(Error::file(path, format!("is not a safetensors file, but {kind}")));
        }
        file.seek(SeekFrom::Start(0)).map_err(Error::io("read", path))?;
        if size < 8 {
            return Err(wrong(format!("the file has {size} bytes, but a safetensors file has at least 8")));
        }
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(Error::io("read", path))?;
        let length = u64::from_le_bytes(length);
        if length > size - 8 {
            return Err(wrong(format!(
                "the header should have {length} bytes, but only {} bytes follow",
                size - 8
            )));
        }
        if length > MAX_HEADER_BYTES {
            return Err(wrong(format!(
                "the header has {length} bytes, but the format allows at most {MAX_HEADER_BYTES}"
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
                return Err(wrong(format!("{found}, but its data_offsets are [{start}, {end}]")));
            }
        }
        manifest.entries.sort_by_key(|entry| entry.offsets);
        let mut next = 0;
        for entry in &manifest.entries {
            let (start, end) = entry.offsets.expect("every entry has offsets, as checked above");
            if start != next {
                let problem =
                    if start < next { "overlaps the tensor before it" } else { "leaves a gap before it" };
                return Err(wrong(format!(
                    "{:?} {problem}: it begins at {start}, not at {next}",
                    entry.name
                )));
            }
            next = end;
        }
        if size - 8 - length != next {
            let found = size - 8 - length;
            let reason = if found < next {
                "the file may be truncated"
            } else {
                "the file has more bytes than its tensors, which safetensors does not allow"
            };
            return Err(wrong(format!(
                "the tensors take {next} bytes, but {found} bytes follow the header: {reason}"
            )));
        }
        Ok(Self { manifest, file, data: 8 + length })
    }
}

/// Returns an error if the file at `path` is not a regular file. `meta` is the metadata of the file. Pipes, terminals
/// and devices cannot be read at arbitrary offsets.
pub fn regular(path: &Path, meta: &Metadata) -> Result {
    match meta.is_file() {
        true => Ok(()),
        false => Err(Error::file(
            path,
            "not a regular file: a pipe or device cannot be read at any offset; save its content to a file",
        )),
    }
}

impl Manifest {
    /// Reads names, shapes and dtypes from a file. A file whose name ends with `.json` must be a manifest. Any other
    /// file must be a safetensors file. Only the header of a safetensors file is read.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or is not a valid manifest or safetensors file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".json") {
            return Self::from_json(&read_json(path)?, path);
        }
        Ok(SafetensorsHeader::read(path)?.manifest)
    }
}

/// Returns the text of a JSON file. The JSON is not parsed.
///
/// # Errors
/// Returns an error if the file cannot be read, has more than [`MAX_HEADER_BYTES`] bytes, is not UTF-8, or has another
/// known format, for example HTML.
pub fn read_json(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if size > MAX_HEADER_BYTES {
        return Err(Error::file(
            path,
            format!("has {size} bytes: a manifest has at most {MAX_HEADER_BYTES} bytes"),
        ));
    }
    let text = std::fs::read(path).map_err(Error::io("read", path))?;
    if let Some(kind) = file_kind::of_bytes(&text).filter(|_| !text.trim_ascii_start().starts_with(b"{")) {
        return Err(Error::file(path, format!("is not JSON, but {kind}")));
    }
    String::from_utf8(text).map_err(|_| Error::file(path, "is not JSON: the text is not UTF-8"))
}
