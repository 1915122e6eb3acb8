//! The creation of the header of a safetensors file.

use fanin_recipe::Entry;
use serde_json::{Map, Value, json};

/// Returns the first bytes of a safetensors file: the length of the header, and the header itself. The header is padded
/// with spaces to a multiple of eight bytes. The metadata is sorted by key, so that equal requests give equal bytes.
///
/// The tensors have the order of `entries`, without gaps, because readers reject gaps. Offsets can therefore be
/// unaligned. For example, an I64 tensor can follow an odd number of F32 values. The format allows this.
pub(crate) fn to_bytes(entries: &[Entry], metadata: &[(String, String)]) -> Vec<u8> {
    let mut metadata: Vec<_> = metadata.to_vec();
    metadata.sort();
    let mut header = Map::new();
    header.insert(
        "__metadata__".to_owned(),
        Value::Object(metadata.into_iter().map(|(key, value)| (key, Value::String(value))).collect()),
    );
    let mut start = 0;
    for entry in entries {
        let end = start + entry.bytes();
        let tensor = json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [start, end] });
        header.insert(entry.name.clone(), tensor);
        start = end;
    }
    let mut json = serde_json::to_vec(&header).expect("strings and numbers are valid JSON");
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    bytes
}
