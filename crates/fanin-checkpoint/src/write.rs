//! `CheckpointPlan::write`, which writes a checkpoint.

use std::thread::ScopedJoinHandle;

use fanin::CancelToken;
use fanin_recipe::Entry;

use crate::checkpoint_values::{CheckpointValues, Step};
use crate::error::{Error, Result};
use crate::output_plan::{FilePlan, IndexPlan, OutputPlan};
use crate::plan::CheckpointPlan;
use crate::progress::Progress;
use crate::resume::differing_files;
use crate::target::Target;
use crate::temporary_file::{FinishedFile, TemporaryFile, sync_folder};
use crate::written::Written;
use crate::{disk_space, feasibility, partitioned_file};

/// The maximum number of finished files that stay open until they are renamed. If there are more files, each file is
/// closed when it is finished, because some systems allow a process only 256 open files.
const MAX_OPEN_FILES: usize = 128;

impl CheckpointPlan {
    /// Writes the checkpoint, or only the partition of this process if a partition is set.
    ///
    /// Each file has a temporary name until the whole file is on the disk. If at least one file replaces an existing
    /// file, all files are renamed together at the end. The index is always renamed last.
    ///
    /// If several processes write the checkpoint, each process writes the index. The index does not depend on the
    /// values, so all processes write the same bytes. No process waits for another process.
    ///
    /// Values are written in chunks of 16 MiB. At most three chunks are in memory at a time. As an exception, the
    /// following tensors are in memory as a whole:
    /// * an orthogonal tensor, during its factorization
    /// * a tensor that the torch stream cannot draw in chunks
    /// * a tensor of a replay (recorded steps that reproduce the initialization of a PyTorch model), unless one random
    ///   fill gives all values of the tensor
    ///
    /// # Errors
    /// Returns an error if an existing file must not be replaced, if the disk does not have enough space, or if a file
    /// cannot be written. Also returns an error if values cannot be drawn or copied. Returns [`Error::Interrupted`]
    /// soon after `cancel` is cancelled.
    ///
    /// After an error, all existing files are unchanged. The exceptions are an error while files are renamed, and an
    /// error while a process overwrites its partition of an existing file.
    pub fn write(&self, target: &Target, progress: &dyn Progress, cancel: &CancelToken) -> Result<Written> {
        feasibility::check(&self.planned, self.draw.stream)?;
        let values = CheckpointValues::new(self, progress, cancel);
        let entries = self.entries();
        if let Some(partition) = self.partitioning.partition.filter(|_| !self.partitioning.is_folder()) {
            return partitioned_file::write(target, &self.metadata, &entries, values, partition);
        }
        let OutputPlan { total_files, mut files, index } = OutputPlan::new(self, &entries, target)?;
        let mut written = Written { files: total_files, written: files.len(), ..Written::default() };
        for file in &files {
            written.tensors += file.range.tensors(&entries).count() as u64;
            written.values += file.range.values(&entries);
            written.bytes += file.range.bytes(&entries);
        }
        let folder_is_new = !target.folder().exists();
        if target.existing.resume {
            files = differing_files(target, files, &entries, values)?;
            written.kept = written.written - files.len();
            written.written = files.len();
        }
        if let Err(error) = write_all(target, &files, index, &entries, values) {
            if folder_is_new {
                // If the folder contains files, for example of another process, the removal fails, and the folder
                // stays.
                _ = std::fs::remove_dir(target.folder());
            }
            return Err(error);
        }
        Ok(written)
    }
}

/// Writes `files`, and then the index.
fn write_all(
    target: &Target,
    files: &[FilePlan],
    index: Option<IndexPlan>,
    entries: &[Entry],
    values: CheckpointValues<'_>,
) -> Result {
    disk_space::check(target, files.iter().map(|file| file.size(entries)).sum())?;
    let force = target.existing.force;
    // When files are replaced, the old checkpoint must stay complete until all new files are complete.
    let rename_together = files.iter().any(|file| file.exists);
    let finished = write_files(files, values, |file| {
        let mut file = file.finish()?;
        if !rename_together {
            file.rename(force)?;
            return Ok(None);
        }
        if files.len() > MAX_OPEN_FILES {
            file.close();
        }
        Ok(Some(file))
    })?;
    let finished_index = index.as_ref().map(write_index).transpose()?;
    if let Some(IndexPlan { path, .. }) = index.filter(|index| rename_together && index.path.exists()) {
        // Without an index, readers of the folder report an error until all files are renamed. With the old index, they
        // could read a mixture of old and new files.
        std::fs::remove_file(&path).map_err(Error::io("replace", &path))?;
        sync_folder(&path)?;
    }
    for file in finished {
        file.rename(force)?;
    }
    if let Some(index) = finished_index {
        // With `true`, an existing index is replaced, because another process may have written the same index in the
        // meantime.
        index.rename(true)?;
    }
    Ok(())
}

/// Writes `files` under temporary names, and calls `finish` for each written file. Returns the results of `finish`.
///
/// `finish` runs on another thread, because it waits for the disk. Meanwhile, the next file is written.
fn write_files(
    files: &[FilePlan],
    values: CheckpointValues<'_>,
    finish: impl Fn(TemporaryFile) -> Result<Option<FinishedFile>> + Sync,
) -> Result<Vec<FinishedFile>> {
    type Finishing<'scope> = ScopedJoinHandle<'scope, Result<Option<FinishedFile>>>;
    let ranges: Vec<_> = files.iter().map(|file| file.range.clone()).collect();
    let mut finished = Vec::new();
    std::thread::scope(|scope| -> Result {
        let mut current: Option<TemporaryFile> = None;
        let mut finishing: Option<Finishing<'_>> = None;
        let mut wait = |finishing: Option<Finishing<'_>>| -> Result {
            if let Some(handle) = finishing {
                finished.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(())
        };
        values.for_each(&ranges, |step| {
            match step {
                Step::Begin(index) => {
                    let mut file = TemporaryFile::create(&files[index].path)?;
                    file.write(&files[index].header)?;
                    current = Some(file);
                }
                Step::Bytes(bytes) => {
                    if let Some(file) = &mut current {
                        file.write(bytes)?;
                    }
                }
                Step::End => {
                    wait(finishing.take())?;
                    let finish = &finish;
                    finishing = current.take().map(|file| scope.spawn(move || finish(file)));
                }
            }
            Ok(())
        })?;
        wait(finishing)
    })?;
    Ok(finished)
}

/// Writes the index under a temporary name.
fn write_index(index: &IndexPlan) -> Result<FinishedFile> {
    let mut file = TemporaryFile::create(&index.path)?;
    file.write(&index.bytes)?;
    file.finish()
}
