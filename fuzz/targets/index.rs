//! Opening an index file of arbitrary text returns a checkpoint or an error. If a checkpoint is returned,
//! all tensors of the checkpoint can be read.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use fanin_checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// A folder with two safetensors files. Each file has one tensor with one value.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a temporary folder");
    for (file, name) in [("a.safetensors", "a"), ("b.safetensors", "b")] {
        write(&folder.path().join(file), name);
    }
    folder
});

/// Writes a safetensors file with one f32 value, in a tensor named `name`.
fn write(path: &Path, name: &str) {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 4]);
    std::fs::write(path, bytes).expect("the file can be written");
}

fuzz_target!(|json: &str| {
    let path = FOLDER.path().join("model.safetensors.index.json");
    std::fs::write(&path, json).expect("the file can be written");
    let Ok(checkpoint) = Checkpoint::open(&path) else { return };
    for number in 0..checkpoint.manifest.entries.len() {
        checkpoint.read(number, 0, &mut [0; 4]).expect("the bytes are in a file");
    }
});
