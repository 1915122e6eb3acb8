//! Plans the files of a checkpoint, and selects the files that this process writes. The module `partitioned_file` is
//! for a single file that several processes write.

use std::path::PathBuf;

use fanin_recipe::Entry;

use crate::error::{Error, Remedy, Result};
use crate::file_names::INDEX;
use crate::options::Partitioning;
use crate::plan::CheckpointPlan;
use crate::shards::{Shard, header, index, partition_of_file, shards, shards_of_partition};
use crate::target::{Target, check_replaceable};
use crate::tensor_range::TensorRange;

/// A file that will be written as a part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// The file name without a folder.
    pub name: String,
    /// The number of tensors in the file. A tensor that is split between files is counted once in each of these files.
    pub tensors: usize,
    /// The size of the file in bytes.
    pub bytes: u64,
}

impl CheckpointPlan {
    /// Returns the files of a checkpoint folder, including the index file. Returns an empty vector if the checkpoint is
    /// a single file, because the [`Target`] determines its name.
    pub fn files(&self) -> Vec<PlannedFile> {
        let CheckpointPlan { metadata, draw, partitioning, .. } = self;
        if !partitioning.is_folder() {
            return Vec::new();
        }
        let entries = self.entries();
        let shards = shards(&entries, draw.stream, *partitioning);
        let file = |shard: &Shard| {
            let header = header(shard, &entries, metadata, partitioning.layout);
            let bytes = header.len() as u64 + shard.range.bytes(&entries);
            PlannedFile { name: shard.name.clone(), tensors: shard.range.tensors(&entries).count(), bytes }
        };
        let index = index(&entries, &shards, partitioning.layout);
        let index =
            index.map(|bytes| PlannedFile { name: INDEX.to_owned(), tensors: 0, bytes: bytes.len() as u64 });
        shards.iter().map(file).chain(index).collect()
    }

    /// Checks that no existing file prevents [`CheckpointPlan::write`] from writing to `target`.
    ///
    /// The headers and values of existing files are not compared. If several processes write a single file, nothing is
    /// checked. After a successful check, `write` can therefore still return an error because of an existing file.
    ///
    /// # Errors
    /// Returns an error if a file exists and must not be replaced, or if the folder has files of another checkpoint.
    pub fn check_target(&self, target: &Target) -> Result {
        // If several processes write a single file, `partitioned_file::write` checks whether the file exists.
        if self.partitioning.partition.is_some() && !self.partitioning.is_folder() {
            return Ok(());
        }
        OutputPlan::new(self, &self.entries(), target).map(|_| ())
    }

    /// Returns the size in bytes of the values that this process writes, or compares with existing files.
    pub fn bytes(&self) -> u64 {
        let (entries, partitioning) = (self.entries(), self.partitioning);
        match partitioning.partition {
            Some(partition) if !partitioning.is_folder() => {
                partition_of_file(&entries, self.draw.stream, partition).bytes(&entries)
            }
            _ => {
                let shards = shards(&entries, self.draw.stream, partitioning);
                let written = shards_of_partition(&shards, partitioning);
                written.into_iter().map(|shard| shard.range.bytes(&entries)).sum()
            }
        }
    }
}

/// A file that this process writes. With [`Existing::resume`](crate::Existing::resume), an existing file with the same
/// bytes is kept.
pub(crate) struct FilePlan {
    pub(crate) path: PathBuf,
    pub(crate) range: TensorRange,
    pub(crate) header: Vec<u8>,
    pub(crate) exists: bool,
}

impl FilePlan {
    /// Returns the file size in bytes.
    pub(crate) fn size(&self, entries: &[Entry]) -> u64 {
        self.header.len() as u64 + self.range.bytes(entries)
    }
}

/// The index file that this process writes: its path and its content.
pub(crate) struct IndexPlan {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// The files and the index that this process writes.
pub(crate) struct OutputPlan {
    /// The number of files of the whole checkpoint, without the index.
    pub(crate) total_files: usize,
    /// The files of this process.
    pub(crate) files: Vec<FilePlan>,
    /// The index file. `None` if the checkpoint has no index, or if an identical index file already exists.
    pub(crate) index: Option<IndexPlan>,
}

impl OutputPlan {
    /// Plans the files and the index that this process writes to `target`. `entries` are the entries of `plan`.
    ///
    /// # Errors
    /// Returns an error if the options do not allow an existing file, or if the folder has files of another checkpoint.
    pub(crate) fn new(plan: &CheckpointPlan, entries: &[Entry], target: &Target) -> Result<Self> {
        let CheckpointPlan { metadata, draw, partitioning, .. } = plan;
        let layout = partitioning.layout;
        let shards = shards(entries, draw.stream, *partitioning);
        target.check_no_other_checkpoint(&shards, layout)?;
        let mut files = Vec::new();
        for shard in shards_of_partition(&shards, *partitioning) {
            let (path, exists) = target.check_file(&shard.name)?;
            let header = header(shard, entries, metadata, layout);
            files.push(FilePlan { path, range: shard.range.clone(), header, exists });
        }
        let index = match index(entries, &shards, layout) {
            Some(bytes) => plan_index(target, *partitioning, bytes)?,
            None => None,
        };
        Ok(Self { total_files: shards.len(), files, index })
    }
}

/// Plans the index. Returns `None` if an identical index exists and is kept. Each of several processes writes the same
/// index.
fn plan_index(target: &Target, partitioning: Partitioning, bytes: Vec<u8>) -> Result<Option<IndexPlan>> {
    let path = target.file_path(INDEX)?;
    let same = path.is_file() && std::fs::read(&path).is_ok_and(|found| found == bytes);
    if same && !target.existing.force && (partitioning.partition.is_some() || target.existing.resume) {
        return Ok(None);
    }
    check_replaceable(&path)?;
    if path.exists() && !target.existing.force {
        return Err(Error::refused(
            &path,
            "exists already, and is the index of another checkpoint",
            Remedy::Force,
        ));
    }
    Ok(Some(IndexPlan { path, bytes }))
}
