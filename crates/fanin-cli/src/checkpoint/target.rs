//! The file to write: refused before any work if it cannot be, under a temporary name until whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A place that a checkpoint may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    force: bool,
}

impl Target {
    /// `output` itself, or model.safetensors in it if it is a folder or ends like one. An existing file is refused
    /// unless `force` is set; a link is followed, so that it goes on pointing at what is written. Nothing is made yet.
    ///
    /// # Errors
    /// An existing target without `force`, one that is no file, a folder that is not there.
    pub fn new(output: &Path, force: bool) -> Result<Self> {
        let named_as_folder =
            output.as_os_str().to_string_lossy().chars().next_back().is_some_and(std::path::is_separator);
        let path = if named_as_folder || output.is_dir() {
            output.join("model.safetensors")
        } else {
            output.to_owned()
        };
        let path = if path.is_symlink() { std::fs::canonicalize(&path).unwrap_or(path) } else { path };
        if path.exists() {
            // A device or a pipe would be lost: it would be replaced, not written to.
            if !path.is_file() {
                return Err(Error::file(
                    &path,
                    "is not a regular file, and a checkpoint would take its place",
                ));
            }
            if !force {
                return Err(Error::file(&path, "exists already: --force replaces it"));
            }
        }
        let folder = parent(&path);
        if !folder.is_dir() && (!named_as_folder || folder.exists()) {
            return Err(Error::file(folder, "there is no such folder to write to: make it first"));
        }
        Ok(Self { path, force })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to write: a file beside the target, with a name of its own.
    pub(super) fn begin(&self) -> Result<Unfinished> {
        let folder = parent(&self.path);
        std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".fanin-").suffix(".unfinished");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file has them: what the umask leaves.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).map_err(Error::io("write to", folder))?;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            *unfinished = Some(file.path().to_owned());
        }
        Ok(Unfinished { file: BufWriter::with_capacity(1 << 20, file), target: self.clone() })
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The temporary file of the moment, for whoever interrupts us.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Ends the process when it is interrupted or told to end, and removes the temporary file. For the command line alone:
/// a library leaves its process's signals as they are.
pub(crate) fn clean_up_when_interrupted() {
    // A handler that is there already is ours: it is set once.
    _ = ctrlc::set_handler(|| {
        if let Some(path) = UNFINISHED.lock().ok().and_then(|mut path| path.take()) {
            _ = std::fs::remove_file(path);
        }
        std::process::exit(130);
    });
}

/// A file that has a temporary name, beside its target, until it is whole. Dropped before, it is gone.
pub(super) struct Unfinished {
    file: BufWriter<NamedTempFile>,
    target: Target,
}

impl Unfinished {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result {
        self.file.write_all(bytes).map_err(Error::io("write", &self.target.path))
    }

    /// Gives the file its name, once all of it is on the disk.
    pub(super) fn finish(self) -> Result {
        let Target { path, force } = self.target;
        let file = self.file.into_inner().map_err(|error| Error::io("write", &path)(error.into_error()))?;
        file.as_file().sync_all().map_err(Error::io("write", &path))?;
        let persisted = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        persisted.map_err(|error| Error::io("write", &path)(error.error))?;
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            *unfinished = None;
        }
        // The name itself is on the disk once its folder is.
        #[cfg(unix)]
        File::open(parent(&path)).and_then(|folder| folder.sync_all()).map_err(Error::io("write", &path))?;
        Ok(())
    }
}
