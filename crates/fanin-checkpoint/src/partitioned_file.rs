//! One file that several processes write, each a stretch of its values at the offset that the plan gives it.
//!
//! Until all parts are there the file lies in a folder beside its name, `NAME.HASH.parts`, with a mark for each part that is
//! on the disk. The hash is that of the header and of the number of parts, so that another seed, recipe or number has a
//! folder of its own. A process that is done looks for all marks, and the one that finds them gives the file its name: by
//! then nobody has anything left to write. Any part may be written again, at any time: the bytes are the same.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::Progress;
use crate::draw::{Drawing, Item};
use crate::error::{Error, Remedy, Result};
use crate::header;
use crate::options::{FileLayout, Partition, StreamKind};
use crate::range::{TensorRange, cuts};
use crate::shards::{WHOLE, split};
use crate::target::Target;
use crate::target::replaceable;
use crate::unfinished::{Counted, sync_folder, trouble};
use crate::write::{Written, room_for};
use fanin_recipe::manifest::Entry;

/// Values that a tensor is cut at multiples of: the native stream makes so many at once.
const GROUP: usize = 64;

/// What one of several processes writes. A sequential stream is cut between tensors.
pub fn stretch(entries: &[Entry], stream: StreamKind, part: Partition) -> TensorRange {
    let step = if stream == StreamKind::Native { GROUP } else { usize::MAX };
    cuts(entries, part.count, |_| step).swap_remove(part.number - 1)
}

/// A file that is written in parts.
struct Parted<'a> {
    target: &'a Target,
    path: PathBuf,
    folder: PathBuf,
    header: Vec<u8>,
    size: u64,
    part: Partition,
}

/// Writes a part of the one file of a checkpoint; if it is the last, the file takes its name.
pub fn write(
    target: &Target,
    metadata: &[(String, String)],
    drawing: Drawing<'_>,
    part: Partition,
    progress: &dyn Progress,
) -> Result<Written> {
    let entries: Vec<Entry> = drawing.planned.iter().map(|planned| planned.entry.clone()).collect();
    target.refuse_others(&split(&entries, u64::MAX), FileLayout::Hf)?;
    let stretch = stretch(&entries, drawing.draw.stream, part);
    let header = header::bytes(&entries, metadata);
    let before: u64 = entries[..stretch.start()].iter().map(Entry::bytes).sum();
    let within = entries
        .get(stretch.start())
        .map_or(0, |entry| entry.bytes_of(stretch.of(stretch.start(), entry.values()).start));
    let offset = header.len() as u64 + before + within;
    let size = header.len() as u64 + entries.iter().map(Entry::bytes).sum::<u64>();
    let path = target.place(WHOLE)?;
    let file = Parted { folder: folder(&path, &header, part.count), target, path, header, size, part };
    let work = Work { drawing, stretch: &stretch, offset, progress };
    let bytes = stretch.bytes(&entries);
    let mut done = Written {
        files: 1,
        written: 1,
        tensors: stretch.tensors(&entries).filter(|(_, values)| !values.is_empty()).count() as u64,
        values: stretch.tensors(&entries).map(|(_, values)| values.len() as u64).sum(),
        bytes,
        ..Written::default()
    };
    if file.is_whole()? {
        // Written again after all were done: compared, and left if it is right.
        let wrong = work.differs(&file.path)?;
        if wrong.is_none() {
            (done.written, done.kept) = (0, 1);
            return Ok(done);
        }
        let at = wrong.filter(|_| !target.existing.force);
        if let Some(at) = at {
            let message = format!("its values differ, first at byte {at}");
            return Err(Error::refused(&file.path, message, Remedy::Force));
        }
        work.write(&file.path, None)?;
        return Ok(done);
    }
    room_for(target, bytes)?;
    std::fs::create_dir_all(&file.folder).map_err(Error::io("make", &file.folder))?;
    let (values, mark) = (file.values(), file.mark(part.number));
    if target.existing.resume && mark.exists() && work.differs(&values)?.is_none() {
        (done.written, done.kept) = (0, 1);
    } else {
        work.write(&values, Some(&file))?;
        file.made_way(File::create(&mark).and_then(|mark| mark.sync_all()), "write", &mark)?;
        file.made_way(sync(&mark), "write", &mark)?;
    }
    done.lacking = file.finish()?;
    Ok(done)
}

/// Where the parts lie until all are there.
fn folder(path: &Path, header: &[u8], count: usize) -> PathBuf {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(count as u64).to_le_bytes());
    hasher.update(header);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.parts", &hasher.finalize().to_hex()[..8]));
    path.with_file_name(name)
}

fn sync(path: &Path) -> std::io::Result<()> {
    sync_folder(path).map_err(|_| std::io::Error::from(ErrorKind::NotFound))
}

impl Parted<'_> {
    fn values(&self) -> PathBuf {
        self.folder.join("values")
    }

    fn mark(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number}-of-{}", self.part.count))
    }

    /// Whether the file has its name and is this checkpoint, by header and size.
    ///
    /// # Errors
    /// If it is another one and must not be replaced.
    fn is_whole(&self) -> Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        replaceable(&self.path)?;
        let mut found = Vec::new();
        let file = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        let mut file = file.take(self.header.len() as u64);
        file.read_to_end(&mut found).map_err(Error::io("read", &self.path))?;
        let size = file.get_ref().metadata().map_err(Error::io("read", &self.path))?.len();
        if found == self.header && size == self.size {
            return Ok(true);
        }
        if self.target.existing.force {
            return Ok(false);
        }
        let message = "exists already, of other tensors, another seed or another recipe";
        Err(Error::refused(&self.path, message, Remedy::Force))
    }

    /// What is not there any more is no error if somebody has given the file its name meanwhile.
    fn made_way(&self, done: std::io::Result<()>, action: &'static str, path: &Path) -> Result {
        match done {
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_whole()? => Ok(()),
            done => done.map_err(Error::io(action, path)),
        }
    }

    /// Gives the file its name if all parts are there; else says how many are lacking.
    fn finish(&self) -> Result<usize> {
        let lacking = (1..=self.part.count).filter(|&number| !self.mark(number).exists()).count();
        if lacking > 0 {
            // Unless another process has done so: then the marks are gone.
            let whole = self.path.exists() && self.is_whole()?;
            if whole {
                self.clear();
            }
            return Ok(if whole { 0 } else { lacking });
        }
        self.made_way(std::fs::rename(self.values(), &self.path), "write", &self.path)?;
        sync_folder(&self.path)?;
        self.clear();
        Ok(0)
    }

    /// Removes what is not needed any more. What cannot be removed harms nobody.
    fn clear(&self) {
        for number in 1..=self.part.count {
            _ = std::fs::remove_file(self.mark(number));
        }
        _ = std::fs::remove_file(self.values());
        _ = std::fs::remove_dir(&self.folder);
    }
}

/// A part's values.
struct Work<'a> {
    drawing: Drawing<'a>,
    stretch: &'a TensorRange,
    /// Where they begin in the file.
    offset: u64,
    progress: &'a dyn Progress,
}

impl Work<'_> {
    /// Writes them to their place, and the header of a file that begins.
    fn write(&self, path: &Path, begin: Option<&Parted<'_>>) -> Result {
        let mut options = OpenOptions::new();
        options.write(true).create(begin.is_some()).truncate(false);
        let mut file = options.open(path).map_err(Error::io("write", path))?;
        let wrong = |error| trouble(path, 0, error);
        if let Some(parted) = begin {
            // Each process does so: the same length, the same header.
            file.set_len(parted.size).and_then(|()| file.write_all(&parted.header)).map_err(wrong)?;
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::io("write", path))?;
        let mut counted = Counted::new(&file);
        self.each(|bytes| {
            let done = counted.write_all(bytes);
            done.map_err(|error| trouble(path, counted.written, error))
        })?;
        file.sync_all().map_err(|error| trouble(path, counted.written, error))
    }

    /// The first byte of the file that is not as it should be.
    fn differs(&self, path: &Path) -> Result<Option<u64>> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::io("read", path))?;
        let (mut found, mut at, mut differs) = (Vec::new(), self.offset, None);
        self.each(|bytes| {
            if differs.is_none() {
                found.resize(bytes.len(), 0);
                file.read_exact(&mut found).map_err(Error::io("read", path))?;
                differs =
                    found.iter().zip(bytes).position(|(found, right)| found != right).map(|n| at + n as u64);
            }
            at += bytes.len() as u64;
            Ok(())
        })?;
        Ok(differs)
    }

    fn each(&self, mut take: impl FnMut(&[u8]) -> Result) -> Result {
        self.drawing.pump(std::slice::from_ref(self.stretch), |item| {
            self.drawing.check_cancelled()?;
            let Item::Values(values) = item else { return Ok(None) };
            let bytes = values.bytes();
            take(&bytes)?;
            self.progress.add(values.count() as u64, bytes.len() as u64);
            drop(bytes);
            Ok(Some(values))
        })
    }
}
