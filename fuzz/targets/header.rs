//! Opening a file of arbitrary bytes returns a checkpoint or an error. If a checkpoint is returned, all bytes of all
//! tensors of the checkpoint can be read.

#![no_main]

use std::sync::LazyLock;

use fanin_checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// The folder of the fuzzed file.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join("fuzzed.safetensors");
    std::fs::write(&path, bytes).expect("the file can be written");
    let Ok(checkpoint) = Checkpoint::open(&path) else { return };
    for (number, entry) in checkpoint.manifest.entries.iter().enumerate() {
        assert!(entry.bytes() <= bytes.len() as u64);
        let mut values = vec![0; entry.bytes() as usize];
        checkpoint.read(number, 0, &mut values).expect("the bytes are in the file");
    }
});
