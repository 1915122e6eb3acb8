//! `TemporaryFile`, a file that is written under a temporary name and renamed when it is complete.
//!
//! If a `TemporaryFile` is dropped before the file is renamed, the file is removed. If a process is killed, its
//! temporary files stay on the disk. The next process that writes to the same final path removes these files. Each
//! process locks its open temporary files, so that other processes do not remove them.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tempfile::{NamedTempFile, TempPath};

use crate::background_sync::BackgroundSync;
use crate::error::{Error, Result};
use crate::paths::parent_folder;
use crate::temporary_name::{RANDOM, SUFFIX, prefix, remove_leftovers};
use crate::write_error::{CountingWriter, write_error};

/// The paths of this process's temporary files, for [`remove_temporary_files`].
static REGISTRY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes all temporary files of this process. Call this function just before the process exits. No thread of the
/// process can create another temporary file until the returned value is dropped.
pub fn remove_temporary_files() -> RemovedFiles {
    let registry = REGISTRY.lock().ok();
    for path in registry.iter().flat_map(|registry| registry.iter()) {
        _ = std::fs::remove_file(path);
    }
    RemovedFiles(registry)
}

/// The result of [`remove_temporary_files`]. No thread can create a temporary file until this value is dropped.
#[derive(Debug)]
pub struct RemovedFiles(Option<MutexGuard<'static, BTreeSet<PathBuf>>>);

impl RemovedFiles {
    /// Returns true if the removal found no temporary files.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|registry| registry.is_empty())
    }
}

/// The entry of a temporary file in `REGISTRY`. Dropping this value removes the entry.
struct Registration(PathBuf);

impl Drop for Registration {
    fn drop(&mut self) {
        if let Ok(mut registry) = REGISTRY.lock() {
            registry.remove(&self.0);
        }
    }
}

/// The number of written bytes after which a synchronization with the disk is requested.
const SYNC_INTERVAL: u64 = 32 << 20;

/// A file that is being written under a temporary name, in the folder of its final path.
pub(crate) struct TemporaryFile {
    file: BufWriter<CountingWriter<NamedTempFile>>,
    /// The final path.
    path: PathBuf,
    /// The number of bytes passed to [`write`](Self::write), including the bytes that are still in the buffer.
    len: u64,
    sync: Option<BackgroundSync>,
    registration: Registration,
}

/// A complete file on the disk that still has its temporary name.
pub(crate) struct FinishedFile {
    /// The open file, which this process has locked. Closing the file releases the lock.
    lock: Option<File>,
    file: TempPath,
    path: PathBuf,
    _registration: Registration,
}

impl TemporaryFile {
    /// Creates a temporary file for the final path `path`. Creates the folder of `path` if the folder does not exist.
    /// Also removes temporary files for `path` that remain from killed processes.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = parent_folder(path);
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        remove_leftovers(path);
        let prefix = prefix(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).rand_bytes(RANDOM).suffix(SUFFIX);
        #[cfg(unix)]
        let replaced = {
            use std::os::unix::fs::PermissionsExt as _;
            let replaced =
                path.metadata().ok().filter(|found| found.is_file()).map(|found| found.permissions());
            // Only the umask limits the permissions of a new file. A replacement must never be readable by users who
            // cannot read the replaced file.
            let mode = replaced.as_ref().map_or(0o666, |replaced| replaced.mode() & 0o666);
            builder.permissions(std::fs::Permissions::from_mode(mode));
            replaced
        };
        loop {
            let Ok(mut registry) = REGISTRY.lock() else { return Err(Error::Interrupted) };
            let file = builder.tempfile_in(folder).map_err(|error| create_error(folder, error))?;
            registry.insert(file.path().to_owned());
            drop(registry);
            let registration = Registration(file.path().to_owned());
            // Another process may remove the file before this process locks it, because a file without a lock looks
            // like a file that remains from a killed process. The loop then creates another file. On a file system
            // without locks, no process removes such files.
            let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
            if !taken && file.path().exists() {
                #[cfg(unix)]
                if let Some(replaced) = replaced {
                    // This call sets the permission bits that the umask has cleared. Errors are ignored, because some
                    // file systems do not support permissions.
                    _ = file.as_file().set_permissions(replaced);
                }
                let file = BufWriter::with_capacity(1 << 20, CountingWriter::new(file));
                return Ok(Self { file, path: path.to_owned(), len: 0, sync: None, registration });
            }
        }
    }

    /// Appends `bytes` to the file.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result {
        let result = self.file.write_all(bytes);
        result.map_err(|error| write_error(&self.path, self.file.get_ref().written, error))?;
        let intervals = self.len / SYNC_INTERVAL;
        self.len += bytes.len() as u64;
        if self.len / SYNC_INTERVAL > intervals {
            match &self.sync {
                Some(sync) => sync.request(),
                None => self.sync = BackgroundSync::start(self.file.get_ref().inner.as_file()),
            }
        }
        Ok(())
    }

    /// Writes the buffered bytes, and waits until the whole file is on the disk.
    pub(crate) fn finish(self) -> Result<FinishedFile> {
        let Self { mut file, path, sync, registration, .. } = self;
        let synced = sync
            .map_or(Ok(()), BackgroundSync::finish)
            .and_then(|()| file.flush())
            .and_then(|()| file.get_ref().inner.as_file().sync_all());
        synced.map_err(|error| write_error(&path, file.get_ref().written, error))?;
        let (CountingWriter { inner, .. }, _) = file.into_parts();
        let (lock, file) = inner.into_parts();
        Ok(FinishedFile { lock: Some(lock), file, path, _registration: registration })
    }
}

impl FinishedFile {
    /// Renames the file to its final path. An existing file is replaced if `force` is true, and is an error otherwise.
    pub(crate) fn rename(self, force: bool) -> Result {
        let Self { lock, file, path, _registration } = self;
        let renamed = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        drop(lock);
        renamed.map_err(|error| Error::io("write", &path)(error.error))?;
        sync_folder(&path)
    }

    /// Closes the file, which releases its lock. The file can still be renamed.
    pub(crate) fn close(&mut self) {
        self.lock = None;
    }
}

/// Returns the error for a temporary file that could not be created in `folder`.
fn create_error(folder: &Path, error: std::io::Error) -> Error {
    // /proc does not allow new files, and reports `NotFound` for them although the folder exists.
    if error.kind() == ErrorKind::NotFound && folder.is_dir() {
        return Error::file(folder, "no file can be created in this folder: choose another folder");
    }
    Error::io("write to", folder)(error)
}

/// Writes `bytes` to a temporary file, and renames the file to `path`. The rename waits until all bytes are on the
/// disk, so a file at `path` is always complete. An existing file is replaced.
///
/// # Errors
/// Returns an error if the file cannot be written. An existing file is then unchanged. Exception: if only the folder
/// cannot be synchronized with the disk, the new file is already at `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result {
    let mut file = TemporaryFile::create(path)?;
    file.write(bytes)?;
    file.finish()?.rename(true)
}

/// Waits until the directory entries of the folder of `path` are on the disk. A created or renamed file then keeps its
/// name after a crash. Does nothing on Windows.
pub(crate) fn sync_folder(path: &Path) -> Result {
    #[cfg(unix)]
    File::open(parent_folder(path)).and_then(|folder| folder.sync_all()).map_err(Error::io("write", path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary_files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "unfinished")).collect()
    }

    #[test]
    fn a_temporary_file_is_not_removed_while_its_process_has_locked_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut file = TemporaryFile::create(&path).unwrap();
        file.write(b"all of it").unwrap();
        remove_leftovers(&path);
        let finished = file.finish().unwrap();
        // Another process makes this call before it writes to the same path. The temporary file is locked, so it
        // stays.
        remove_leftovers(&path);
        assert_eq!(temporary_files(folder.path()).len(), 1);
        finished.rename(false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
        assert!(temporary_files(folder.path()).is_empty());
        // This file is a leftover, because no process has locked it.
        std::fs::write(folder.path().join(".fanin-a.safetensors-x1Y2z3.unfinished"), "left").unwrap();
        remove_leftovers(&path);
        assert!(temporary_files(folder.path()).is_empty());
    }
}
