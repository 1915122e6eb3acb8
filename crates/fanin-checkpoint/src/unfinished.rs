//! Files under temporary names until they are whole.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread::JoinHandle;

use tempfile::{NamedTempFile, TempPath};

use crate::error::{Error, Result};
use crate::target::parent;
use fanin_recipe::text as numbers;

/// The temporary files of the moment, for whoever interrupts us.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the temporary files, and keeps their list locked for as long as the answer lives.
pub fn remove_all() -> Option<MutexGuard<'static, BTreeSet<PathBuf>>> {
    let unfinished = UNFINISHED.lock().ok()?;
    for path in unfinished.iter() {
        _ = std::fs::remove_file(path);
    }
    Some(unfinished)
}

/// A temporary file that is on the list while this lives.
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        if let Ok(mut unfinished) = UNFINISHED.lock() {
            unfinished.remove(&self.0);
        }
    }
}

/// A file that has a temporary name, beside its target, until it is whole. Dropped before, it is gone.
pub struct Unfinished {
    file: BufWriter<Counted<NamedTempFile>>,
    path: PathBuf,
    /// Bytes that came, whether or not the file has them already.
    came: u64,
    pusher: Option<Pusher>,
    listed: Listed,
}

/// A file of which all is on the disk, but for its name.
pub struct Whole {
    /// Open still: with it goes the lock that tells others that this is no leftover.
    lock: Option<File>,
    file: TempPath,
    path: PathBuf,
    _listed: Listed,
}

impl Unfinished {
    /// Begins the file that is to be `path`. What an earlier run left behind of it, killed, is removed.
    pub fn begin(path: &Path) -> Result<Self> {
        let folder = parent(path);
        std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        sweep(path);
        let prefix = prefix(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).rand_bytes(RANDOM).suffix(SUFFIX);
        #[cfg(unix)]
        let replaced = {
            use std::os::unix::fs::PermissionsExt as _;
            let replaced =
                path.metadata().ok().filter(|found| found.is_file()).map(|found| found.permissions());
            // As any new file has them, what the umask leaves; nobody reads along who could not read what is replaced.
            let mode = replaced.as_ref().map_or(0o666, |replaced| replaced.mode() & 0o666);
            builder.permissions(std::fs::Permissions::from_mode(mode));
            replaced
        };
        loop {
            let Ok(mut unfinished) = UNFINISHED.lock() else { return Err(Error::Interrupted) };
            let file = builder.tempfile_in(folder).map_err(|error| no_file(folder, error))?;
            unfinished.insert(file.path().to_owned());
            drop(unfinished);
            let listed = Listed(file.path().to_owned());
            // The lock tells others that the file is no leftover. One who looked just before has it, or has taken the
            // file away: then another is made. Where locks are not to be had, nothing is ever swept.
            let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
            if !taken && file.path().exists() {
                #[cfg(unix)]
                if let Some(replaced) = replaced {
                    // All of the mode, whatever the umask. Where modes are not to be set, files have what they have.
                    _ = file.as_file().set_permissions(replaced);
                }
                let file = BufWriter::with_capacity(1 << 20, Counted::new(file));
                return Ok(Self { file, path: path.to_owned(), came: 0, pusher: None, listed });
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result {
        let done = self.file.write_all(bytes);
        done.map_err(|error| trouble(&self.path, self.file.get_ref().written, error))?;
        let before = self.came / STRIDE;
        self.came += bytes.len() as u64;
        if self.came / STRIDE > before {
            match &self.pusher {
                Some(pusher) => pusher.push(),
                None => self.pusher = Pusher::of(self.file.get_ref().inner.as_file()),
            }
        }
        Ok(())
    }

    /// Waits until all of it is on the disk.
    pub fn sync(self) -> Result<Whole> {
        let Self { mut file, path, pusher, listed, .. } = self;
        pusher.map_or(Ok(()), Pusher::end).map_err(|error| trouble(&path, file.get_ref().written, error))?;
        let flushed = file.flush();
        flushed.map_err(|error| trouble(&path, file.get_ref().written, error))?;
        let synced = file.get_ref().inner.as_file().sync_all();
        synced.map_err(|error| trouble(&path, file.get_ref().written, error))?;
        let (Counted { inner, .. }, _) = file.into_parts();
        let (lock, file) = inner.into_parts();
        Ok(Whole { lock: Some(lock), file, path, _listed: listed })
    }
}

impl Whole {
    /// Gives the file its name.
    pub fn take_name(self, force: bool) -> Result {
        let Self { lock, file, path, _listed } = self;
        let persisted = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        drop(lock);
        persisted.map_err(|error| Error::io("write", &path)(error.error))?;
        sync_folder(&path)
    }

    /// Closes the file before it has its name, where there are more of them than a process may have open.
    pub fn close(&mut self) {
        self.lock = None;
    }
}

/// Why no file was made in a folder.
fn no_file(folder: &Path, error: std::io::Error) -> Error {
    // As /proc has it: the folder is there, and is no place for files.
    if error.kind() == ErrorKind::NotFound && folder.is_dir() {
        return Error::file(folder, "no file can be made in this folder: choose another");
    }
    Error::io("write to", folder)(error)
}

/// A writer that counts what was really written.
pub struct Counted<W> {
    inner: W,
    pub(super) written: u64,
}

impl<W> Counted<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, written: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes after which what was written is pushed to the disk.
const STRIDE: u64 = 32 << 20;

/// A thread that has the disk take in what was written while more is drawn. The system alone would leave it in memory
/// until there are gigabytes of it, and the last `sync` would wait for all.
struct Pusher {
    wanted: Sender<()>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Pusher {
    /// One for this file, at work already. Without a second handle or a thread the last `sync` does it all.
    fn of(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (wanted, asked): (_, Receiver<()>) = channel();
        let work = move || {
            while asked.recv().is_ok() {
                // However often it was asked for meanwhile, once is enough.
                while asked.try_recv().is_ok() {}
                file.sync_data()?;
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("fanin-push".to_owned()).spawn(work).ok()?;
        let pusher = Self { wanted, thread };
        pusher.push();
        Some(pusher)
    }

    /// Asks for it. A thread that has ended has met an error, and says so in the end.
    fn push(&self) {
        _ = self.wanted.send(());
    }

    /// What went wrong, of which the system tells each file once.
    fn end(self) -> std::io::Result<()> {
        drop(self.wanted);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Writes a small file, which has its name when all of it is on the disk. What was there is replaced.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result {
    let mut file = Unfinished::begin(path)?;
    file.write(bytes)?;
    file.sync()?.take_name(true)
}

/// A name is on the disk once its folder is.
pub fn sync_folder(path: &Path) -> Result {
    #[cfg(unix)]
    File::open(parent(path)).and_then(|folder| folder.sync_all()).map_err(Error::io("write", path))?;
    Ok(())
}

/// What went wrong with writing, and what of it can be mended.
pub fn trouble(path: &Path, written: u64, error: std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the disk quota is used up",
        ErrorKind::FileTooLarge => "no larger file is allowed here (ulimit -f, or the file system)",
        _ => return Error::io("write", path)(error),
    };
    let written = numbers::bytes(written);
    let remedy = "make room, choose another folder, or write less";
    Error::file(path, format!("{what} after {written}: {remedy} ({error})"))
}

const SUFFIX: &str = ".unfinished";

/// Letters and digits between the beginning and the end of a temporary name.
const RANDOM: usize = 6;

/// How the temporary names of a file begin. A file's name may be as long as the system allows: of a long one there is its
/// beginning, and a hash to tell it from others that begin alike.
fn prefix(path: &Path) -> OsString {
    const MAX_HEADER_BYTES: usize = 40;
    let name = path.file_name().unwrap_or_default();
    let short = match name.to_str() {
        Some(name) if name.chars().count() <= MAX_HEADER_BYTES => name.to_owned(),
        _ => {
            let hash = blake3::hash(name.as_encoded_bytes()).to_hex();
            let begin: String = name.to_string_lossy().chars().take(MAX_HEADER_BYTES - 9).collect();
            format!("{begin}-{}", &hash[..8])
        }
    };
    format!(".fanin-{short}-").into()
}

/// Whether this is a temporary name that begins so: `a` has none of the names of `a-b`.
fn is_temporary(name: &[u8], prefix: &[u8]) -> bool {
    name.strip_prefix(prefix)
        .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()))
        .is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
}

/// Removes what killed runs have left of a file: temporary files of its name that nobody holds a lock on.
fn sweep(path: &Path) {
    let prefix = prefix(path);
    let Ok(entries) = std::fs::read_dir(parent(path)) else { return };
    for entry in entries.flatten() {
        if !is_temporary(entry.file_name().as_encoded_bytes(), prefix.as_encoded_bytes()) {
            continue;
        }
        // One that is to replace a file which must not be written must not be written itself.
        let open = File::options().write(true).open(entry.path()).or_else(|_| File::open(entry.path()));
        // Where locks are not to be had, leftovers stay.
        if open.is_ok_and(|file| file.try_lock().is_ok()) {
            _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "unfinished")).collect()
    }

    #[test]
    fn a_whole_file_that_waits_for_its_name_is_no_leftover() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut file = Unfinished::begin(&path).unwrap();
        file.write(b"all of it").unwrap();
        sweep(&path);
        let whole = file.sync().unwrap();
        // What another process does that begins the same file.
        sweep(&path);
        assert_eq!(temporary(folder.path()).len(), 1);
        whole.take_name(false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"all of it");
        assert!(temporary(folder.path()).is_empty());
        // Nobody holds this one.
        std::fs::write(folder.path().join(".fanin-a.safetensors-x1Y2z3.unfinished"), "left").unwrap();
        sweep(&path);
        assert!(temporary(folder.path()).is_empty());
    }

    #[test]
    fn a_file_has_its_own_temporary_names_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let long = |end: &str| format!("{}{end}", "l".repeat(60));
        let names = ["a".to_owned(), "a-b".to_owned(), "a-b-c".to_owned(), long("1"), long("2")];
        for name in &names {
            let path = folder.path().join(name);
            let left: Vec<PathBuf> = names
                .iter()
                .map(|name| {
                    let mut left = prefix(Path::new(name));
                    left.push("aB3dE6.unfinished");
                    let left = folder.path().join(left);
                    std::fs::write(&left, "left").unwrap();
                    left
                })
                .collect();
            sweep(&path);
            let there: Vec<&String> =
                names.iter().zip(&left).filter(|(_, left)| !left.exists()).map(|(name, _)| name).collect();
            assert_eq!(there, [name]);
        }
    }
}
