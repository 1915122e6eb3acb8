//! Tests of the reader with damaged headers. The reader must return an error that names the file, or a manifest that
//! matches the file size. It must never panic, and must check a length before it allocates memory.

use std::path::Path;

use fanin_checkpoint::SafetensorsFile;
use fanin_recipe::{Manifest, StoredType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The characters from which a test builds random texts: punctuation of JSON, digits and letters.
const LIKE_JSON: &str = "[]{}\":,0123456789abcdefghijklmnopqrstuvwxyz\\ ";

const CASES: u32 = 1000;

/// Writes `bytes` to a file and opens the file. Returns the manifest or the error message. Asserts that the message
/// names the file.
fn open(bytes: &[u8]) -> Result<Manifest, String> {
    thread_local!(static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap());
    let path = FOLDER.with(|folder| folder.path().join("model.safetensors"));
    std::fs::write(&path, bytes).unwrap();
    let opened =
        SafetensorsFile::open(&path).map(|checkpoint| checkpoint.manifest).map_err(|error| error.to_string());
    if let Err(error) = &opened {
        assert!(error.contains("model.safetensors: "), "{error}");
    }
    opened
}

/// Returns the bytes of a safetensors file with the header `header`. All bytes after the header are 0. The argument
/// `data` is their number.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Generates the names, types and shapes of tensors, and the total number of bytes.
fn tensors() -> impl Strategy<Value = (Vec<(String, StoredType, Vec<usize>)>, usize)> {
    let whole_bytes = |(dtype, shape): &(StoredType, Vec<usize>)| {
        (shape.iter().product::<usize>() * dtype.bits()).is_multiple_of(8)
    };
    let one = (select(StoredType::ALL.to_vec()), vec(0usize..5, 0..4)).prop_filter("bytes", whole_bytes);
    vec(one, 1..6).prop_map(|all| {
        let size =
            |(dtype, shape): &(StoredType, Vec<usize>)| shape.iter().product::<usize>() * dtype.bits() / 8;
        let total = all.iter().map(size).sum();
        let named = all.into_iter().enumerate().map(|(k, (dtype, shape))| (format!("t{k}"), dtype, shape));
        (named.collect(), total)
    })
}

/// Returns the header of a file that contains these tensors without gaps.
fn header(tensors: &[(String, StoredType, Vec<usize>)]) -> serde_json::Map<String, serde_json::Value> {
    let mut at = 0;
    let mut header = serde_json::Map::new();
    for (name, dtype, shape) in tensors {
        let end = at + shape.iter().product::<usize>() * dtype.bits() / 8;
        header.insert(
            name.clone(),
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, end] }),
        );
        at = end;
    }
    header
}

/// Asserts that the tensors of a manifest have no gaps between them, and take `data` bytes in total.
fn check_offsets(manifest: &Manifest, data: usize) {
    let mut at = 0;
    for entry in &manifest.entries {
        let (start, end) = entry.offsets.unwrap();
        assert!(start == at && end - start == entry.bytes(), "{entry:?}");
        at = end;
    }
    assert_eq!(at, data as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_headers_are_read((tensors, total) in tensors()) {
        let text = serde_json::to_string(&header(&tensors)).unwrap();
        let manifest = open(&file(&text, total)).unwrap();
        check_offsets(&manifest, total);
        prop_assert_eq!(manifest.entries.len(), tensors.len());
    }

    #[test]
    fn damaged_bytes_give_an_error_or_a_manifest(
        (tensors, total) in tensors(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        length in prop::option::of(any::<Index>()),
    ) {
        let mut bytes = file(&serde_json::to_string(&header(&tensors)).unwrap(), total);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len() + 1));
        }
        if let Ok(manifest) = open(&bytes) {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            check_offsets(&manifest, bytes.len() - 8 - length);
        }
    }

    #[test]
    fn damaged_members_are_an_error(
        (tensors, total) in tensors(),
        which in any::<Index>(),
        (member, value) in prop_oneof![
            (Just("dtype"), select(vec!["\"F31\"", "\"f32\"", "3", "null", "\"\"", "[\"F32\"]"])),
            (Just("shape"), select(vec!["[-1]", "[1.5]", "3", "null", "[18446744073709551615, 2]", "[18446744073709551616]",
                "[9223372036854775807]", "[[1]]", "[\"1\"]", "[4294967296, 4294967296, 4294967296]"])),
            (Just("data_offsets"), select(vec!["[0]", "[1, 0]", "[0, 18446744073709551615]", "[-1, 0]", "null", "[0, 0, 0]",
                "[18446744073709551615, 18446744073709551615]", "\"0\"", "[999999, 9999999]"])),
        ],
    ) {
        let mut header = header(&tensors);
        let name = tensors[which.index(tensors.len())].0.clone();
        header[&name][member] = serde_json::from_str(value).unwrap();
        let text = serde_json::to_string(&header).unwrap();
        prop_assert!(open(&file(&text, total)).is_err(), "{}", text);
    }

    #[test]
    fn gaps_overlaps_and_repeated_names_are_an_error((tensors, total) in tensors(), which in any::<Index>(), by in 1i64..9, sign in any::<bool>()) {
        let mut header = header(&tensors);
        let (name, dtype, shape) = &tensors[which.index(tensors.len())];
        // In this header, every name appears twice.
        let once = serde_json::to_string(&header).unwrap();
        let twice = format!("{},{}", once.strip_suffix('}').unwrap(), once.strip_prefix('{').unwrap());
        prop_assert!(open(&file(&twice, total)).unwrap_err().contains("appears twice"));
        // This file is too long.
        prop_assert!(open(&file(&once, total + by as usize)).unwrap_err().contains("more bytes than its tensors"));
        // With changed offsets, the header has a gap or an overlap.
        let by = if sign { by } else { -by };
        let old: Vec<i64> = serde_json::from_value(header[name]["data_offsets"].clone()).unwrap();
        if shape.iter().product::<usize>() * dtype.bits() > 0 && old[0] + by >= 0 {
            header[name]["data_offsets"] = serde_json::json!([old[0] + by, old[1] + by]);
            prop_assert!(open(&file(&serde_json::to_string(&header).unwrap(), total)).is_err());
        }
    }

    #[test]
    fn any_text_gives_an_error_or_a_manifest(characters in vec(select(LIKE_JSON.chars().collect::<Vec<_>>()), 0..=60)) {
        let text = String::from_iter(characters);
        _ = Manifest::from_json(&text, Path::new("m.json"));
        _ = open(&file(&text, 0));
    }
}

#[test]
fn sizes_are_checked_before_memory_is_allocated() {
    // The first eight bytes state a header length that is larger than the file.
    for length in [9, 1 << 20, 1 << 40, u64::MAX, u64::MAX - 7, 100_000_001] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        assert!(open(&bytes).unwrap_err().contains("the header should have"), "{length}");
    }
    // This sparse file is long enough for the stated header length, 2^33 bytes. The format does not allow this length.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, (1u64 << 33).to_le_bytes()).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 34).unwrap();
    let error = SafetensorsFile::open(&path).unwrap_err().to_string();
    assert!(error.contains("but the format allows"), "{error}");
    // This JSON is nested too deeply.
    let deep = "[".repeat(200_000);
    assert!(open(&file(&deep, 0)).is_err());
    let deep = format!("{{\"a\": {}", "{\"a\": ".repeat(100_000));
    assert!(open(&file(&deep, 0)).is_err());
    assert!(open(&[]).is_err() && open(&[0; 7]).is_err() && open(&[0; 8]).is_err());
}

#[test]
fn only_the_header_is_read() {
    // The values are four gigabytes of a sparse file, which take no disk space. The reader must not read them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let text = r#"{"a": {"dtype": "F32", "shape": [1024, 1048576], "data_offsets": [0, 4294967296]}}"#;
    std::fs::write(&path, file(text, 0)).unwrap();
    let length = 8 + text.len() as u64 + (1 << 32);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    assert_eq!(Manifest::read(&path).unwrap().values(), 1 << 30);
    // A manifest must not be longer than the maximum length of a safetensors header.
    let json = folder.path().join("m.json");
    std::fs::File::create(&json).unwrap().set_len(1 << 32).unwrap();
    assert!(Manifest::read(&json).unwrap_err().to_string().contains("a manifest has at most"));
}
