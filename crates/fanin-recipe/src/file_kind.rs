//! Recognizes file formats by the first bytes of a file, for error messages about files that are not safetensors files.

use std::io::Read as _;
use std::path::Path;

use crate::manifest::MAX_HEADER_BYTES;

/// The number of bytes that are read to recognize the format of a file.
const LENGTH: usize = 512;

const TO_SAFETENSORS: &str =
    "load it with torch.load(FILE, weights_only=True) and save the tensors with safetensors.torch.save_file";

/// Returns the format of the file at `path` and advice for the user, as [`of_bytes`] does. Returns `None` if the file
/// cannot be read, if its format is unknown, or if the file may be a safetensors file.
pub fn of_file(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(LENGTH as u64).read_to_end(&mut start).ok()?;
    of_bytes(&start)
}

/// Returns the format of a file and advice for the user, for example `a compressed file: unpack it first`. `start`
/// contains the first bytes of the file. Returns `None` if the format is unknown, or if the file may be a safetensors
/// file.
pub fn of_bytes(start: &[u8]) -> Option<String> {
    // A safetensors file begins with the length of the header in eight bytes. The JSON of the header follows.
    let length = start.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    if start.get(8) == Some(&b'{') && length.is_some_and(|length| length <= MAX_HEADER_BYTES) {
        return None;
    }
    let start = start.get(..LENGTH).unwrap_or(start);
    let decoded = String::from_utf8_lossy(start);
    // Text may begin with a byte order mark.
    let text = decoded.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let begins = |bytes: &[u8]| start.starts_with(bytes);
    let (kind, remedy) = match start {
        [] => ("an empty file", "the download or the write may have been interrupted; get the file again"),
        _ if text.starts_with("version https://git-lfs") => (
            "a Git LFS pointer, which replaces the file in a repository",
            "run `git lfs install` and `git lfs pull`, or download the file itself",
        ),
        _ if text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<?xml") => {
            (
                "an HTML or XML page, for example the error page of a server",
                "download the file again, from the address of the file itself",
            )
        }
        _ if begins(b"GGUF") || begins(b"GGML") => {
            ("a GGUF file of llama.cpp", "use the safetensors files from which the GGUF file was made")
        }
        _ if begins(b"\x89HDF\r\n\x1a\n") => (
            "an HDF5 file, the format of Keras",
            "read it with h5py or Keras, and save the arrays with safetensors.numpy.save_file",
        ),
        _ if begins(b"\x93NUMPY") => {
            ("a NumPy array (.npy)", "load it with numpy.load, and save it with safetensors.numpy.save_file")
        }
        _ if begins(b"PK\x03\x04") => zip(start),
        [0x80, 2..=5, ..] => ("a pickle file (.bin, .pt, .pkl)", TO_SAFETENSORS),
        _ if begins(b"\x1f\x8b") || begins(b"\x28\xb5\x2f\xfd") || begins(b"BZh") || begins(b"\xfd7zXZ") => {
            ("a compressed file", "unpack it first")
        }
        _ if start.get(257..262) == Some(b"ustar") => ("a tar archive", "unpack it first"),
        _ if text.starts_with('{') => {
            ("a JSON text", "if it is an index or a manifest, its name must end with .json")
        }
        _ if start.len() >= 8 && start.iter().all(|byte| *byte == 0) => {
            ("a file that begins with zeros, as an interrupted download leaves it", "get the file again")
        }
        _ if text.len() >= 8
            && !decoded.contains(|c: char| c.is_control() && !c.is_whitespace() || c == '\u{fffd}') =>
        {
            let line = decoded.trim_start().lines().next().unwrap_or_default();
            let line: String = line.chars().take(60).collect();
            return Some(format!("a text file, which begins with {line:?}: give the file with the tensors"));
        }
        _ => return None,
    };
    Some(format!("{kind}: {remedy}"))
}

/// Returns the format of a zip archive and advice for the user. The name of the first file shows the format.
fn zip(start: &[u8]) -> (&'static str, &'static str) {
    let length = start.get(26..28).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let name = start.get(30..30 + length).map(String::from_utf8_lossy).unwrap_or_default();
    match name.as_ref() {
        name if name.ends_with(".npy") => (
            "a NumPy archive (.npz)",
            "load it with numpy.load, and save the arrays with safetensors.numpy.save_file",
        ),
        name if name.ends_with("data.pkl") || name.ends_with("/version") || name.contains("/data/") => {
            ("a PyTorch file with pickled tensors (.bin, .pt)", TO_SAFETENSORS)
        }
        name if name == "metadata.json" || name == "config.json" => (
            "a Keras file (.keras)",
            "load it with Keras, and save the arrays with safetensors.numpy.save_file",
        ),
        _ => ("a zip archive", "unpack it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn formats_other_than_safetensors_are_recognized() {
        for (start, needle) in [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec(), "git lfs pull"),
            (b"\n<!DOCTYPE html>\n<html>".to_vec(), "error page"),
            (b"GGUF\x03\0\0\0{".to_vec(), "GGUF"),
            (b"\x89HDF\r\n\x1a\n\0".to_vec(), "HDF5"),
            (b"\x93NUMPY\x01\0v\0".to_vec(), ".npy"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j".to_vec(), "torch.load"),
            (archive("archive/data.pkl"), "torch.load"),
            (archive("pytorch_model/data.pkl"), "torch.load"),
            (archive("arr_0.npy"), ".npz"),
            (archive("readme.txt"), "zip archive"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0".to_vec(), "unpack"),
            (b"{\"metadata\": {}}".to_vec(), ".json"),
            (Vec::new(), "empty"),
            (b"\xef\xbb\xbf<!doctype html><html>".to_vec(), "error page"),
            (b"Entry not found".to_vec(), "a text file, which begins with \"Entry not found\""),
            (b"# xet version 0\nfilesize = 12\n".to_vec(), "a text file"),
            (vec![0; 8], "begins with zeros"),
            (vec![0; 4096], "begins with zeros"),
        ] {
            let found = of_bytes(&start).unwrap_or_default();
            assert!(found.contains(needle), "{needle}: {found}");
        }
        // The bytes 0x80 0x02 begin a pickle file, or a safetensors file with a header of 0x280 = 640 bytes.
        assert_eq!(of_bytes(b"\x80\x02\0\0\0\0\0\0{\"a\": "), None);
        assert_eq!(of_bytes(&[7; 100]), None);
    }
}
