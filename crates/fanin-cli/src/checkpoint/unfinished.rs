//! Files under temporary names until they are whole.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tempfile::{NamedTempFile, TempPath};

use super::target::parent;
use crate::error::{Error, Result};
use crate::report::numbers;

/// The temporary files of the moment, for whoever interrupts us.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Ends the process when it is interrupted or told to end, and removes the temporary files. For the command line alone:
/// a library leaves its process's signals as they are.
pub(crate) fn clean_up_when_interrupted() {
    // Beyond `ulimit -f` the system would end us; with a handler, of whatever kind, writing fails and says why.
    #[cfg(unix)]
    {
        let seen = std::sync::Arc::default();
        _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
    }
    // A handler that is there already is ours: it is set once.
    _ = ctrlc::set_handler(|| {
        // Held to the end: no file is begun from here on.
        let unfinished = UNFINISHED.lock();
        for path in unfinished.iter().flat_map(|paths| paths.iter()) {
            _ = std::fs::remove_file(path);
        }
        if unfinished.as_ref().is_ok_and(|paths| !paths.is_empty()) {
            crate::report::say("interrupted: what was unfinished is removed");
        }
        std::process::exit(130);
    });
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
pub(super) struct Unfinished {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    written: u64,
    pusher: Option<Pusher>,
    listed: Listed,
}

/// A file of which all is on the disk, but for its name.
pub(super) struct Whole {
    file: TempPath,
    path: PathBuf,
    _listed: Listed,
}

impl Unfinished {
    /// Begins the file that is to be `path`. What an earlier run left behind of it, killed, is removed.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        let folder = parent(path);
        std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        sweep(path);
        let prefix = prefix(path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file has them: what the umask leaves.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        loop {
            let Ok(mut unfinished) = UNFINISHED.lock() else { return Err(Error::Interrupted) };
            let file = builder.tempfile_in(folder).map_err(Error::io("write to", folder))?;
            unfinished.insert(file.path().to_owned());
            drop(unfinished);
            let listed = Listed(file.path().to_owned());
            // The lock tells others that the file is no leftover. One who looked just before has taken it away.
            _ = file.as_file().try_lock();
            if file.path().exists() {
                let file = BufWriter::with_capacity(1 << 20, file);
                return Ok(Self { file, path: path.to_owned(), written: 0, pusher: None, listed });
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result {
        self.file.write_all(bytes).map_err(|error| trouble(&self.path, self.written, error))?;
        let before = self.written / STRIDE;
        self.written += bytes.len() as u64;
        if self.written / STRIDE > before {
            match &self.pusher {
                Some(pusher) => pusher.push(),
                None => self.pusher = Pusher::of(self.file.get_ref().as_file()),
            }
        }
        Ok(())
    }

    /// Waits until all of it is on the disk.
    pub(super) fn sync(self) -> Result<Whole> {
        let Self { file, path, written, pusher, listed } = self;
        pusher.map_or(Ok(()), Pusher::end).map_err(|error| trouble(&path, written, error))?;
        let file = file.into_inner().map_err(|error| trouble(&path, written, error.into_error()))?;
        file.as_file().sync_all().map_err(|error| trouble(&path, written, error))?;
        Ok(Whole { file: file.into_temp_path(), path, _listed: listed })
    }
}

impl Whole {
    /// Gives the file its name.
    pub(super) fn take_name(self, force: bool) -> Result {
        let Self { file, path, _listed } = self;
        let persisted = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        persisted.map_err(|error| Error::io("write", &path)(error.error))?;
        sync_folder(&path)
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
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result {
    let mut file = Unfinished::begin(path)?;
    file.write(bytes)?;
    file.sync()?.take_name(true)
}

/// A name is on the disk once its folder is.
pub(super) fn sync_folder(path: &Path) -> Result {
    #[cfg(unix)]
    File::open(parent(path)).and_then(|folder| folder.sync_all()).map_err(Error::io("write", path))?;
    Ok(())
}

/// What went wrong with writing, and what of it can be mended.
pub(super) fn trouble(path: &Path, written: u64, error: std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::StorageFull => "the disk is full",
        ErrorKind::QuotaExceeded => "the disk quota is used up",
        ErrorKind::FileTooLarge => "no larger file is allowed here (ulimit -f, or the file system)",
        _ => return Error::io("write", path)(error),
    };
    let written = numbers::bytes(written);
    let remedy = "the part is removed again; make room, choose another folder, or write less";
    Error::file(path, format!("{what} after {written}: {remedy} ({error})"))
}

const SUFFIX: &str = ".unfinished";

/// How the temporary names of a file begin. A file's name may be as long as the system allows: its temporary one takes
/// the beginning of it.
fn prefix(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(40).collect();
    format!(".fanin-{short}-").into()
}

/// Removes what killed runs have left of a file: temporary files of its name that nobody holds a lock on.
fn sweep(path: &Path) {
    let prefix = prefix(path);
    let Ok(entries) = std::fs::read_dir(parent(path)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (name, prefix) = (name.as_encoded_bytes(), prefix.as_encoded_bytes());
        if !(name.starts_with(prefix) && name.ends_with(SUFFIX.as_bytes())) {
            continue;
        }
        // Where locks are not to be had, leftovers stay.
        if File::options().write(true).open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            _ = std::fs::remove_file(entry.path());
        }
    }
}
