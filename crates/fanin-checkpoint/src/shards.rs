//! Splits a checkpoint into files, which are called shards.
//!
//! In the `hf` layout (Hugging Face), each file contains whole tensors. An index names the file of each tensor. In the
//! `dcp` layout (`torch.distributed.checkpoint` with safetensors files), a file can contain some of the rows of a
//! tensor. The header of the file gives the index of the first of these rows.

use fanin_recipe::Entry;
use serde_json::{Map, Value, json};

use crate::options::{FileLayout, Partition, Partitioning, StreamKind};
use crate::tensor_range::{TensorRange, split_evenly};
use crate::{file_names, header, index};

/// One file of a checkpoint that is a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The name of the file, without a folder.
    pub name: String,
    /// The range of the checkpoint's values that the file contains.
    pub range: TensorRange,
}

/// Splits a checkpoint into the files of a folder.
pub(crate) fn shards(entries: &[Entry], stream: StreamKind, partitioning: Partitioning) -> Vec<Shard> {
    let Partitioning { max_shard_size, partition, layout } = partitioning;
    match layout {
        FileLayout::Hf => split_tensors(entries, max_shard_size.unwrap_or(u64::MAX)),
        FileLayout::Dcp => {
            split_rows(entries, max_shard_size, partition.map_or(1, |partition| partition.count), stream)
        }
    }
}

/// Returns the elements of `shards` that this process writes.
pub(crate) fn shards_of_partition(shards: &[Shard], partitioning: Partitioning) -> Vec<&Shard> {
    let Partitioning { max_shard_size, partition, layout } = partitioning;
    let Some(Partition { number, count }) = partition else { return shards.iter().collect() };
    if layout == FileLayout::Dcp && max_shard_size.is_none() {
        // An empty partition has no file, so `shards[number - 1]` can be the file of another partition.
        let name = file_names::dcp_file(number);
        return shards.iter().filter(|shard| shard.name == name).collect();
    }
    shards.iter().skip(number - 1).step_by(count).collect()
}

/// Returns the range of values that one partition writes to the single file of a checkpoint.
///
/// The native stream generates 64 values at a time, so a tensor is split only at multiples of 64 values. The torch
/// stream is sequential, so no tensor is split.
pub(crate) fn partition_of_file(entries: &[Entry], stream: StreamKind, partition: Partition) -> TensorRange {
    let granularity = if stream == StreamKind::Native { 64 } else { usize::MAX };
    split_evenly(entries, partition.count, |_| granularity).swap_remove(partition.number - 1)
}

/// Splits a checkpoint into files of whole tensors. A file has at most `max_bytes` bytes of values. A larger tensor has
/// a separate file.
///
/// The tensors keep their order, so that the files can be written one after another on the torch stream. Hugging Face's
/// function can move a large tensor before smaller tensors. Readers accept both orders.
pub(crate) fn split_tensors(entries: &[Entry], max_bytes: u64) -> Vec<Shard> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0u64);
    for (tensor, entry) in entries.iter().enumerate() {
        if tensor > start && bytes.saturating_add(entry.bytes()) > max_bytes {
            ranges.push(start..tensor);
            (start, bytes) = (tensor, 0);
        }
        bytes = bytes.saturating_add(entry.bytes());
    }
    ranges.push(start..entries.len());
    let count = ranges.len();
    let shard = |(index, tensors)| Shard {
        name: file_names::hf_file(index + 1, count),
        range: TensorRange::whole(tensors),
    };
    ranges.into_iter().enumerate().map(shard).collect()
}

/// Splits a checkpoint into files for `torch.distributed.checkpoint.HuggingFaceStorageReader`. A file has at most
/// `max_bytes` bytes of values. If `max_bytes` is `None`, the checkpoint is split evenly into `count` files. Empty
/// files are left out.
///
/// On the native stream, tensors are split only between rows. On the torch stream, tensors are not split, because this
/// stream is sequential. A row or an unsplit tensor of more than `max_bytes` bytes has a separate file.
fn split_rows(entries: &[Entry], max_bytes: Option<u64>, count: usize, stream: StreamKind) -> Vec<Shard> {
    let native = stream == StreamKind::Native;
    let ranges = match max_bytes {
        None => split_evenly(entries, count, |entry| if native { row_length(entry) } else { usize::MAX }),
        Some(max_bytes) => {
            let unit = |entry: &Entry| if native { row_length(entry) } else { entry.values() };
            split_by_size(entries, max_bytes, unit)
        }
    };
    let shard = |(index, range)| Shard { name: file_names::dcp_file(index + 1), range };
    ranges.into_iter().enumerate().map(shard).filter(|shard| !shard.range.is_empty(entries)).collect()
}

/// Splits a checkpoint into ranges of at most `max_bytes` bytes. A tensor is split only at multiples of `unit(tensor)`
/// values. A unit of more than `max_bytes` bytes is a separate range.
fn split_by_size(entries: &[Entry], max_bytes: u64, unit: impl Fn(&Entry) -> usize) -> Vec<TensorRange> {
    let (mut ranges, mut range, mut free) = (Vec::new(), TensorRange::whole(0..0), max_bytes);
    for (tensor, entry) in entries.iter().enumerate() {
        let (size, unit, mut start) = (entry.dtype.size() as u64, unit(entry), 0);
        while entry.bytes() - start as u64 * size > free {
            let fitting = (free / size) as usize / unit * unit;
            // A unit that does not fit even into an empty range becomes a range of its own.
            start += if fitting == 0 && free == max_bytes { unit } else { fitting };
            ranges.push(range.ending_at(tensor, start, entry.values()));
            range = TensorRange::starting_at(tensor, start, entry.values());
            free = max_bytes;
        }
        free -= entry.bytes() - start as u64 * size;
    }
    ranges.push(range.ending_at(entries.len(), 0, 0));
    ranges
}

/// Returns the number of values in a row. A row consists of the values with the same index along the first axis.
fn row_length(entry: &Entry) -> usize {
    entry.shape.get(1..).unwrap_or_default().iter().product::<usize>().max(1)
}

/// Returns the header of a shard.
pub(crate) fn header(
    shard: &Shard,
    entries: &[Entry],
    metadata: &[(String, String)],
    layout: FileLayout,
) -> Vec<u8> {
    let mut stored = Vec::new();
    let mut offsets = Map::new();
    for (tensor, values) in shard.range.tensors(entries) {
        let mut entry = entries[tensor].clone();
        let mut offset = vec![0; entry.shape.len()];
        if values != (0..entry.values()) {
            let row = row_length(&entry);
            offset[0] = values.start / row;
            entry.shape[0] = values.len() / row;
        }
        offsets.insert(entry.name.clone(), json!({ "saved_offsets": offset }));
        stored.push(entry);
    }
    let mut metadata = metadata.to_vec();
    if layout == FileLayout::Dcp {
        metadata.push(("DCP_VERSION".to_owned(), "1.0".to_owned()));
        metadata.push(("DCP_SHARDING_INFO".to_owned(), Value::Object(offsets).to_string()));
    }
    header::to_bytes(&stored, &metadata)
}

/// Returns the bytes of the index of these files. A single file and the `dcp` layout have no index (`None`).
pub(crate) fn index(entries: &[Entry], shards: &[Shard], layout: FileLayout) -> Option<Vec<u8>> {
    if shards.len() < 2 || layout == FileLayout::Dcp {
        return None;
    }
    let files = shards.iter().flat_map(|shard| {
        shard.range.tensors(entries).map(|(tensor, _)| (entries[tensor].name.clone(), shard.name.clone()))
    });
    Some(index::to_bytes(files.collect(), entries.iter().map(Entry::bytes).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanin_recipe::StoredType;

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
    fn files_are_filled_in_order_and_a_large_tensor_has_its_own_file() {
        let tensors = |sizes: &[usize], max_bytes| {
            let ranges = split_tensors(&entries(sizes), max_bytes).into_iter().map(|shard| shard.range);
            ranges.map(|range| range.start()..range.end()).collect::<Vec<_>>()
        };
        assert_eq!(tensors(&[3, 3, 3, 4], 6), [0..2, 2..3, 3..4]);
        assert_eq!(tensors(&[1, 9, 1, 1], 4), [0..1, 1..2, 2..4]);
        assert_eq!(tensors(&[9, 9], 4), [0..1, 1..2]);
        assert_eq!(tensors(&[0, 9, 0, 4, 0], 4), [0..1, 1..2, 2..5]);
        assert_eq!(tensors(&[4, 2, 1], 6), [0..2, 2..3]);
    }

    #[test]
    fn every_row_is_in_one_file_and_no_file_exceeds_the_maximum_size() {
        let shapes: [&[usize]; 7] = [&[5, 3], &[], &[0, 4], &[40, 2], &[7], &[2, 100], &[1]];
        let entry = |(number, shape): (usize, &&[usize])| Entry {
            name: format!("t{number}"),
            dtype: [StoredType::F32, StoredType::BF16][number % 2],
            shape: shape.to_vec(),
            offsets: None,
        };
        let all: Vec<Entry> = shapes.iter().enumerate().map(entry).collect();
        for stream in [StreamKind::Native, StreamKind::Torch] {
            for (max_bytes, count) in [
                (Some(30), 1),
                (Some(64), 1),
                (Some(1), 1),
                (Some(1 << 30), 1),
                (None, 1),
                (None, 3),
                (None, 9),
            ] {
                let mut next = vec![0; all.len()];
                for shard in split_rows(&all, max_bytes, count, stream) {
                    let mut bytes = 0;
                    let mut tensors = 0;
                    for (tensor, values) in shard.range.tensors(&all) {
                        assert_eq!(values.start, next[tensor], "{max_bytes:?} {count} {tensor}");
                        assert_eq!(values.len() % row_length(&all[tensor]), 0);
                        next[tensor] = values.end;
                        bytes += values.len() * all[tensor].dtype.size();
                        tensors += 1;
                    }
                    assert!(tensors > 0);
                    let alone =
                        shard.range.tensors(&all).filter(|(_, values)| !values.is_empty()).count() == 1;
                    assert!(
                        max_bytes.is_none_or(|max| bytes as u64 <= max) || alone,
                        "{max_bytes:?} {shard:?}"
                    );
                }
                assert_eq!(next, all.iter().map(Entry::values).collect::<Vec<_>>(), "{max_bytes:?} {count}");
            }
        }
        let first = split_rows(&all, None, 2, StreamKind::Native).remove(0);
        let text = String::from_utf8(header(&first, &all, &[], FileLayout::Dcp)).unwrap();
        assert!(text.contains(r#""DCP_VERSION":"1.0""#) && text.contains("saved_offsets"), "{text}");
    }

    #[test]
    fn names_and_index_follow_the_hf_layout() {
        let all = entries(&[3, 3, 1]);
        let shards = split_tensors(&all, 4);
        let names: Vec<_> = shards.iter().map(|shard| shard.name.as_str()).collect();
        assert_eq!(names, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
        assert_eq!(split_tensors(&all, 7)[0].name, "model.safetensors");
        assert_eq!(index(&all, &split_tensors(&all, 7), FileLayout::Hf), None);
        let text = String::from_utf8(index(&all, &shards, FileLayout::Hf).unwrap()).unwrap();
        let expected = "{\n  \"metadata\": {\n    \"total_size\": 7\n  },\n  \"weight_map\": {\n    \
                        \"t0\": \"model-00001-of-00002.safetensors\",\n    \
                        \"t1\": \"model-00002-of-00002.safetensors\",\n    \
                        \"t2\": \"model-00002-of-00002.safetensors\"\n  }\n}\n";
        assert_eq!(text, expected);
    }
}
