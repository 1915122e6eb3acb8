//! How the tensors of a checkpoint are shared among files, in the layout of Hugging Face.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::manifest::Entry;

/// The one file of a checkpoint that needs no more.
pub const WHOLE: &str = "model.safetensors";

/// The name that the layout gives its index.
pub const INDEX: &str = "model.safetensors.index.json";

/// Of each tensor the file that an index names.
pub(super) type Weights = BTreeMap<String, String>;

/// An index to write. Its members stand in the order of their names, as Hugging Face writes them.
#[derive(Serialize)]
struct Index {
    metadata: BTreeMap<&'static str, u64>,
    weight_map: Weights,
}

/// One file of a checkpoint: a stretch of its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The file's name, which is no path.
    pub name: String,
    /// Which tensors it has.
    pub tensors: Range<usize>,
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
    let named = |(number, tensors)| Shard { name: name(number + 1, count), tensors };
    stretches.into_iter().enumerate().map(named).collect()
}

fn name(number: usize, count: usize) -> String {
    if count == 1 { WHOLE.to_owned() } else { format!("model-{number:05}-of-{count:05}.safetensors") }
}

/// Whether readers would take a file of this name for part of a checkpoint in its folder.
pub(super) fn is_part(name: &str) -> bool {
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
    let home = |shard: &Shard| {
        let file = shard.name.clone();
        entries[shard.tensors.clone()].iter().map(move |entry| (entry.name.clone(), file.clone()))
    };
    let index = Index { metadata, weight_map: shards.iter().flat_map(home).collect() };
    let mut bytes = serde_json::to_vec_pretty(&index).expect("strings and numbers are JSON");
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::StoredType;

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
            split(&entries(sizes), most).into_iter().map(|shard| shard.tensors).collect::<Vec<_>>()
        };
        assert_eq!(stretches(&[3, 3, 3, 4], 6), [0..2, 2..3, 3..4]);
        assert_eq!(stretches(&[1, 9, 1, 1], 4), [0..1, 1..2, 2..4]);
        assert_eq!(stretches(&[9, 9], 4), [0..1, 1..2]);
        assert_eq!(stretches(&[0, 9, 0, 4, 0], 4), [0..1, 1..2, 2..5]);
        assert_eq!(stretches(&[4, 2, 1], 6), [0..2, 2..3]);
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
