//! The header that a checkpoint begins with.

use serde_json::{Map, Value, json};

use fanin_recipe::manifest::Entry;

/// The first bytes of a checkpoint with these tensors, one after another: the length, and the header padded with spaces
/// to a multiple of eight. The metadata is told in order of its keys, so that equal runs write equal bytes.
///
/// The tensors keep their order, a state_dict's, and follow one another without gaps: readers refuse any. So the values
/// of an I64 after an odd number of F32 begin at no multiple of eight, which the format allows; who maps files and wants
/// such alignment would have to sort the tensors by the size of their types, as safetensors' own writer does.
pub fn bytes(entries: &[Entry], metadata: &[(String, String)]) -> Vec<u8> {
    let mut metadata: Vec<_> = metadata.to_vec();
    metadata.sort();
    let mut header = Map::new();
    header.insert(
        "__metadata__".to_owned(),
        Value::Object(metadata.into_iter().map(|(key, value)| (key, Value::String(value))).collect()),
    );
    let mut at = 0;
    for entry in entries {
        let end = at + entry.bytes();
        let tensor = json!({ "dtype": entry.dtype, "shape": entry.shape, "data_offsets": [at, end] });
        header.insert(entry.name.clone(), tensor);
        at = end;
    }
    let mut json = serde_json::to_vec(&header).expect("strings and numbers are JSON");
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    bytes
}
