//! Writes one file together with other processes. Each process writes one partition: a range of the values in the file.
//!
//! Until all partitions are written, the values are in the file `values` of a folder `NAME.HASH.parts`, beside the
//! final path. The folder also contains an empty marker file for each partition that is complete on the disk. HASH
//! depends on the number of partitions and on the header, which contains the seed and the recipe. Another seed or
//! another recipe therefore uses another folder.
//!
//! Each process writes its partition, and then looks for the markers of all partitions. If no marker is missing, the
//! process renames `values` to the final name. A partition can be written again at any time: the same bytes are written
//! to the same range.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use fanin_recipe::Entry;

use crate::checkpoint_values::{CheckpointValues, Step};
use crate::comparison::{ByteComparison, header_difference};
use crate::error::{Error, Remedy, Result};
use crate::file_names::SINGLE_FILE;
use crate::options::{FileLayout, Partition};
use crate::shards::{partition_of_file, split_tensors};
use crate::target::{Target, check_replaceable};
use crate::temporary_file::sync_folder;
use crate::tensor_range::TensorRange;
use crate::write_error::{CountingWriter, write_error};
use crate::written::Written;
use crate::{disk_space, header};

/// Writes one partition of a file. If no other partition is missing, also renames the file to its final name.
///
/// # Errors
/// Returns an error if an existing file must not be replaced, if the disk does not have enough space, or if a write
/// fails.
pub(crate) fn write(
    target: &Target,
    metadata: &[(String, String)],
    entries: &[Entry],
    values: CheckpointValues<'_>,
    partition: Partition,
) -> Result<Written> {
    target.check_no_other_checkpoint(&split_tensors(entries, u64::MAX), FileLayout::Hf)?;
    let range = partition_of_file(entries, values.draw.stream, partition);
    let header = header::to_bytes(entries, metadata);
    let written = Written {
        files: 1,
        written: 1,
        tensors: range.tensors(entries).filter(|(_, values)| !values.is_empty()).count() as u64,
        values: range.values(entries),
        bytes: range.bytes(entries),
        ..Written::default()
    };
    let kept = Written { written: 0, kept: 1, ..written.clone() };
    let path = target.file_path(SINGLE_FILE)?;
    let size = header.len() as u64 + entries.iter().map(Entry::bytes).sum::<u64>();
    let offset = header.len() as u64 + range.bytes_before(entries);
    let folder = partitions_folder(&path, &header, partition.count);
    let file = PartitionedFile { target, path, folder, header, size, partition };
    let values = PartitionValues { values, range, offset };
    if file.is_complete()? {
        let Some(offset) = values.first_difference(&file.path)? else { return Ok(kept) };
        if !target.existing.force {
            let message = format!("its values differ, first at byte {offset}");
            return Err(Error::refused(&file.path, message, Remedy::Force));
        }
        let existing = OpenOptions::new().write(true).open(&file.path);
        values.write(existing.map_err(Error::io("write", &file.path))?, &file.path)?;
        return Ok(written);
    }
    disk_space::check(target, written.bytes)?;
    std::fs::create_dir_all(&file.folder).map_err(Error::io("create", &file.folder))?;
    let (path, marker) = (file.values(), file.marker(partition.number));
    let keep = target.existing.resume && marker.exists() && values.first_difference(&path)?.is_none();
    if !keep {
        values.write(file.create_values()?, &path)?;
        let marked = File::create(&marker).and_then(|marker| marker.sync_all());
        file.ignore_renamed(marked, "write", &marker)?;
        let synced = sync_folder(&marker).map_err(|_| std::io::Error::from(ErrorKind::NotFound));
        file.ignore_renamed(synced, "write", &marker)?;
    }
    let missing_partitions = file.rename_if_complete()?;
    Ok(Written { missing_partitions, ..if keep { kept } else { written } })
}

/// Returns the path of the folder that contains the values until all partitions are written.
fn partitions_folder(path: &Path, header: &[u8], count: usize) -> PathBuf {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(count as u64).to_le_bytes());
    hasher.update(header);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.parts", &hasher.finalize().to_hex()[..8]));
    path.with_file_name(name)
}

/// A file that several processes write.
struct PartitionedFile<'a> {
    target: &'a Target,
    /// The final path.
    path: PathBuf,
    /// The folder that contains the values until all partitions are written.
    folder: PathBuf,
    header: Vec<u8>,
    /// The size of the file in bytes.
    size: u64,
    /// The partition of this process.
    partition: Partition,
}

impl PartitionedFile<'_> {
    /// Returns the path of the file `values`, which contains the values until all partitions are written.
    fn values(&self) -> PathBuf {
        self.folder.join("values")
    }

    /// Returns the path of the marker file of partition `number`.
    fn marker(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number}-of-{}", self.partition.count))
    }

    /// Opens the file `values`, sets its final size, and writes the header. Every process writes the same header.
    fn create_values(&self) -> Result<File> {
        let path = self.values();
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(Error::io("write", &path))?;
        let written = file.set_len(self.size).and_then(|()| file.write_all(&self.header));
        written.map_err(|error| write_error(&path, 0, error))?;
        Ok(file)
    }

    /// Returns true if the file at the final path has the planned header and size. Returns false if there is no file,
    /// or if another file exists there and may be replaced.
    ///
    /// # Errors
    /// Returns an error if another file exists there and must not be replaced.
    fn is_complete(&self) -> Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        check_replaceable(&self.path)?;
        if header_difference(&self.path, &self.header, self.size)?.is_none() {
            return Ok(true);
        }
        if self.target.existing.force {
            return Ok(false);
        }
        let message = "exists already, with other tensors, another seed or another recipe";
        Err(Error::refused(&self.path, message, Remedy::Force))
    }

    /// Converts the result of an I/O operation on a file in `folder` to a [`Result`] of this crate. Ignores the error
    /// "not found" if the final file is complete, because another process has then removed `folder`.
    fn ignore_renamed(&self, result: std::io::Result<()>, action: &'static str, path: &Path) -> Result {
        match result {
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_complete()? => Ok(()),
            result => result.map_err(Error::io(action, path)),
        }
    }

    /// Renames the file `values` to the final path if no partition is missing. Returns the number of missing
    /// partitions.
    fn rename_if_complete(&self) -> Result<usize> {
        let missing = (1..=self.partition.count).filter(|&number| !self.marker(number).exists()).count();
        if missing > 0 {
            // Markers are also missing if another process has renamed the complete file and removed the folder.
            let complete = self.path.exists() && self.is_complete()?;
            if complete {
                self.remove_folder();
            }
            return Ok(if complete { 0 } else { missing });
        }
        self.ignore_renamed(std::fs::rename(self.values(), &self.path), "write", &self.path)?;
        sync_folder(&self.path)?;
        self.remove_folder();
        Ok(0)
    }

    /// Removes the folder. Errors are ignored, because another process may remove the folder at the same time.
    fn remove_folder(&self) {
        for number in 1..=self.partition.count {
            _ = std::fs::remove_file(self.marker(number));
        }
        _ = std::fs::remove_file(self.values());
        _ = std::fs::remove_dir(&self.folder);
    }
}

/// The values of one partition.
struct PartitionValues<'a> {
    values: CheckpointValues<'a>,
    range: TensorRange,
    /// The offset in the file of the partition's first value, in bytes.
    offset: u64,
}

impl PartitionValues<'_> {
    /// Writes the values to `file` at `offset`, and syncs the file. Error messages contain `path`. Another process may
    /// rename the file meanwhile, because the open `file` stays valid.
    fn write(&self, mut file: File, path: &Path) -> Result {
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::io("write", path))?;
        let mut file = CountingWriter::new(file);
        self.for_each(|bytes| {
            let result = file.write_all(bytes);
            result.map_err(|error| write_error(path, file.written, error))
        })?;
        file.inner.sync_all().map_err(|error| write_error(path, file.written, error))
    }

    /// Returns the offset of the first byte in the file at `path` that differs from the partition's values. Returns
    /// `None` if no byte differs.
    fn first_difference(&self, path: &Path) -> Result<Option<u64>> {
        let mut comparison = ByteComparison::open(path, self.offset)?;
        self.for_each(|bytes| comparison.compare(bytes))?;
        Ok(comparison.first_difference())
    }

    /// Calls `take` with the bytes of the values, one chunk at a time.
    fn for_each(&self, mut take: impl FnMut(&[u8]) -> Result) -> Result {
        self.values.for_each(std::slice::from_ref(&self.range), |step| match step {
            Step::Bytes(bytes) => take(bytes),
            Step::Begin(_) | Step::End => Ok(()),
        })
    }
}
