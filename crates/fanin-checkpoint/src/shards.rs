//! How the tensors of a checkpoint are shared among files: in the layout of Hugging Face, whole tensors and an index; in
//! that of torch's distributed checkpoints (DCP) in safetensors, rows of tensors, and offsets in each header.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::header;
use crate::options::{FileLayout, StreamKind};
use crate::range::{TensorRange, cuts};
use fanin_recipe::manifest::Entry;

/// The one file of a checkpoint that needs no more.
pub const WHOLE: &str = "model.safetensors";

/// The name that the layout gives its index.
pub const INDEX: &str = "model.safetensors.index.json";

/// Of each tensor the file that an index names.
pub type Weights = BTreeMap<String, String>;

/// An index to write. Its members stand in the order of their names, as Hugging Face writes them.
#[derive(Serialize)]
struct Index {
    metadata: BTreeMap<&'static str, u64>,
    weight_map: Weights,
}

/// One file of a checkpoint: a stretch of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The file's name, which is no path.
    pub name: String,
    /// What it has.
    pub stretch: TensorRange,
}

/// Shares tensors among files of at most so many bytes of values: in their order, each file as full as it gets. A tensor
/// that is larger has a file to itself. So the files, one after another, have the checkpoint's order, which the torch
/// stream draws in. (Hugging Face's own splitter goes on filling the file before a large tensor's; readers take either.)
pub fn split(entries: &[Entry], most: u64) -> Vec<Shard> {
    let (mut stretches, mut start, mut full) = (Vec::new(), 0, 0u64);
    for (number, entry) in entries.iter().enumerate() {
        let bytes = entry.bytes();
        if number > start && full.saturating_add(bytes) > most {
            stretches.push(start..number);
            (start, full) = (number, 0);
        }
        full = full.saturating_add(bytes);
    }
    stretches.push(start..entries.len());
    let count = stretches.len();
    let named =
        |(number, tensors)| Shard { name: name(number + 1, count), stretch: TensorRange::whole(tensors) };
    stretches.into_iter().enumerate().map(named).collect()
}

/// Shares rows of tensors among files of at most so many bytes of values, or among `count` files: as torch's distributed
/// checkpoints lie in safetensors (`torch.distributed.checkpoint.HuggingFaceStorageReader`). A row that is larger has a
/// file to itself. A sequential stream draws whole tensors, and is cut between them.
pub fn split_rows(entries: &[Entry], most: Option<u64>, count: usize, stream: StreamKind) -> Vec<Shard> {
    let rows = stream == StreamKind::Native;
    let stretches = match most {
        None => cuts(entries, count, |entry| if rows { row(entry) } else { usize::MAX }),
        Some(most) => {
            let (mut stretches, mut stretch, mut left) = (Vec::new(), TensorRange::whole(0..0), most);
            for (number, entry) in entries.iter().enumerate() {
                let (size, row, mut at) = (entry.dtype.size() as u64, row(entry), 0);
                while entry.bytes() - at as u64 * size > left {
                    let fit = (left / size) as usize / row * row;
                    let (fit, alone) = (if rows { fit } else { 0 }, left == most);
                    if fit == 0 && alone {
                        // It is alone already, and must go somewhere.
                        at += if rows { row } else { entry.values() };
                    }
                    at += fit;
                    stretches.push(stretch.up_to(number, at, entry.values()));
                    stretch = stretches[stretches.len() - 1].after(number, at, entry.values());
                    left = most;
                }
                left -= entry.bytes() - at as u64 * size;
            }
            stretches.push(stretch.up_to(entries.len(), 0, 0));
            stretches
        }
    };
    let named = |(number, stretch)| Shard {
        name: format!("shard-{:05}-model-00001-of-00001.safetensors", number + 1),
        stretch,
    };
    stretches.into_iter().enumerate().map(named).filter(|shard| !shard.stretch.is_empty(entries)).collect()
}

/// Values in a row: an index of the first axis.
fn row(entry: &Entry) -> usize {
    entry.shape.get(1..).unwrap_or_default().iter().product::<usize>().max(1)
}

/// The header of a file with these values.
pub fn header(
    shard: &Shard,
    entries: &[Entry],
    metadata: &[(String, String)],
    layout: FileLayout,
) -> Vec<u8> {
    let mut held = Vec::new();
    let mut offsets = Map::new();
    for (number, values) in shard.stretch.tensors(entries) {
        let mut entry = entries[number].clone();
        let mut offset = vec![0; entry.shape.len()];
        if values != (0..entry.values()) {
            let row = row(&entry);
            offset[0] = values.start / row;
            entry.shape[0] = values.len() / row;
        }
        offsets.insert(entry.name.clone(), json!({ "saved_offsets": offset }));
        held.push(entry);
    }
    let mut metadata = metadata.to_vec();
    if layout == FileLayout::Dcp {
        metadata.push(("DCP_VERSION".to_owned(), "1.0".to_owned()));
        metadata.push(("DCP_SHARDING_INFO".to_owned(), Value::Object(offsets).to_string()));
    }
    header::bytes(&held, &metadata)
}

fn name(number: usize, count: usize) -> String {
    if count == 1 { WHOLE.to_owned() } else { format!("model-{number:05}-of-{count:05}.safetensors") }
}

/// Whether readers would take a file of this name for part of a checkpoint in its folder.
pub fn is_part(name: &str) -> bool {
    name == WHOLE
        || name == INDEX
        || name
            .strip_prefix("model-")
            .and_then(|rest| rest.strip_suffix(".safetensors"))
            .and_then(|rest| rest.split_once("-of-"))
            .is_some_and(|(number, count)| {
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits(number) && digits(count)
            })
}

/// The index of these files, byte for byte as Hugging Face writes it; a checkpoint in one file has none.
pub fn index(entries: &[Entry], shards: &[Shard]) -> Option<Vec<u8>> {
    if shards.len() < 2 {
        return None;
    }
    let total: u64 = entries.iter().map(Entry::bytes).sum();
    let metadata = BTreeMap::from([("total_size", total)]);
    let home = |shard: &Shard| -> Vec<(String, String)> {
        let tensors = shard.stretch.tensors(entries);
        tensors.map(|(number, _)| (entries[number].name.clone(), shard.name.clone())).collect()
    };
    let index = Index { metadata, weight_map: shards.iter().flat_map(home).collect() };
    let mut bytes = serde_json::to_vec_pretty(&index).expect("strings and numbers are JSON");
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin_recipe::manifest::StoredType;

    fn entries(sizes: &[usize]) -> Vec<Entry> {
        let entry = |(number, &size): (usize, &usize)| Entry {
            name: format!("t{number}"),
            dtype: StoredType::U8,
            shape: vec![size],
            offsets: None,
        };
        sizes.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn files_are_filled_in_order_and_a_large_tensor_is_alone() {
        let stretches = |sizes: &[usize], most| {
            let stretches = split(&entries(sizes), most).into_iter().map(|shard| shard.stretch);
            stretches
                .map(|stretch| stretch.tensors(&entries(sizes)).map(|(number, _)| number).collect::<Vec<_>>())
                .map(|all| all[0]..all[all.len() - 1] + 1)
                .collect::<Vec<_>>()
        };
        assert_eq!(stretches(&[3, 3, 3, 4], 6), [0..2, 2..3, 3..4]);
        assert_eq!(stretches(&[1, 9, 1, 1], 4), [0..1, 1..2, 2..4]);
        assert_eq!(stretches(&[9, 9], 4), [0..1, 1..2]);
        assert_eq!(stretches(&[0, 9, 0, 4, 0], 4), [0..1, 1..2, 2..5]);
        assert_eq!(stretches(&[4, 2, 1], 6), [0..2, 2..3]);
    }

    #[test]
    fn rows_fill_files_and_none_is_lost() {
        let shapes: [&[usize]; 7] = [&[5, 3], &[], &[0, 4], &[40, 2], &[7], &[2, 100], &[1]];
        let entry = |(number, shape): (usize, &&[usize])| Entry {
            name: format!("t{number}"),
            dtype: [StoredType::F32, StoredType::BF16][number % 2],
            shape: shape.to_vec(),
            offsets: None,
        };
        let all: Vec<Entry> = shapes.iter().enumerate().map(entry).collect();
        for stream in [StreamKind::Native, StreamKind::Torch] {
            for (most, count) in [
                (Some(30), 1),
                (Some(64), 1),
                (Some(1), 1),
                (Some(1 << 30), 1),
                (None, 1),
                (None, 3),
                (None, 9),
            ] {
                let mut next = vec![0; all.len()];
                for shard in split_rows(&all, most, count, stream) {
                    let mut bytes = 0;
                    let mut files = 0;
                    for (number, values) in shard.stretch.tensors(&all) {
                        assert_eq!(values.start, next[number], "{most:?} {count} {number}");
                        assert_eq!(values.len() % row(&all[number]), 0);
                        next[number] = values.end;
                        bytes += values.len() * all[number].dtype.size();
                        files += 1;
                    }
                    assert!(files > 0);
                    let alone =
                        shard.stretch.tensors(&all).filter(|(_, values)| !values.is_empty()).count() == 1;
                    assert!(most.is_none_or(|most| bytes as u64 <= most) || alone, "{most:?} {shard:?}");
                }
                assert_eq!(next, all.iter().map(Entry::values).collect::<Vec<_>>(), "{most:?} {count}");
            }
        }
        let first = split_rows(&all, None, 2, StreamKind::Native).remove(0);
        let text = String::from_utf8(header(&first, &all, &[], FileLayout::Dcp)).unwrap();
        assert!(text.contains(r#""DCP_VERSION":"1.0""#) && text.contains("saved_offsets"), "{text}");
    }

    #[test]
    fn names_and_index_are_the_layouts() {
        let all = entries(&[3, 3, 1]);
        let shards = split(&all, 4);
        let names: Vec<_> = shards.iter().map(|shard| shard.name.as_str()).collect();
        assert_eq!(names, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
        assert_eq!(split(&all, 7)[0].name, "model.safetensors");
        assert_eq!(index(&all, &split(&all, 7)), None);
        let text = String::from_utf8(index(&all, &shards).unwrap()).unwrap();
        let expected = "{\n  \"metadata\": {\n    \"total_size\": 7\n  },\n  \"weight_map\": {\n    \
                        \"t0\": \"model-00001-of-00002.safetensors\",\n    \
                        \"t1\": \"model-00002-of-00002.safetensors\",\n    \
                        \"t2\": \"model-00002-of-00002.safetensors\"\n  }\n}\n";
        assert_eq!(text, expected);
        assert!(names.iter().all(|name| is_part(name)) && is_part(INDEX) && is_part(WHOLE));
        for other in
            ["model-a-of-b.safetensors", "model-1.safetensors", "x.safetensors", "model--of-.safetensors"]
        {
            assert!(!is_part(other), "{other}");
        }
    }
}
