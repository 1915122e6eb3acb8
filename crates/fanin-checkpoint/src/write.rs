//! Writing checkpoints: streamed, one thread making values while another writes, each file under a temporary name until
//! all of it is on the disk.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use fanin::{CancelToken, Distribution, Native};

use crate::draw::{Drawing, Item};
use crate::error::{Error, Remedy, Result};
use crate::options::{FileLayout, Partition, Partitioning, StreamKind};
use crate::partitioned_file;
use crate::progress::Progress;
use crate::range::TensorRange;
use crate::request::CheckpointPlan;
use crate::shards::{self, INDEX, Shard, index, split, split_rows};
use crate::target::Target;
use crate::target::replaceable;
use crate::unfinished::{Unfinished, Whole, sync_folder};
use fanin_recipe::manifest::{Entry, MAX_FILE_BYTES};
use fanin_recipe::recipe::Planned;
use fanin_recipe::text as numbers;

/// Refuses what could not be written to its end, before anything is.
///
/// # Errors
/// More bytes than a file can have; on the native stream, two names that are one, and an algorithm that it lacks.
pub fn check(planned: &[Planned], stream: StreamKind) -> Result {
    let total = planned.iter().try_fold(0u64, |total, planned| total.checked_add(planned.entry.bytes()));
    if total.is_none_or(|total| total > MAX_FILE_BYTES) {
        return Err(Error::Request(format!(
            "the tensors take more than {MAX_FILE_BYTES} bytes: no file has as many"
        )));
    }
    if stream == StreamKind::Native {
        let mut model = Native::new(0).model();
        let mut sources = std::collections::HashSet::new();
        for planned in planned {
            let wrong = |source| Error::Tensor { tensor: planned.description(), source };
            // Tied tensors are one under several names.
            let name = planned.source();
            let tensor = if sources.insert(name) {
                model.tensor(name).map_err(wrong)?
            } else {
                Native::new(0).tensor(name)
            };
            // To prepare any other plan costs nothing.
            if let Some(plan) = planned.plan.as_ref().filter(|plan| {
                !matches!(plan.distribution(), Distribution::Orthogonal { .. } | Distribution::Blocks { .. })
            }) {
                tensor.prepare(plan).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// The files of a checkpoint.
fn shards(partitioning: Partitioning, entries: &[Entry], stream: StreamKind) -> Vec<Shard> {
    let Partitioning { max_shard_size, partition, layout } = partitioning;
    match layout {
        FileLayout::Hf => split(entries, max_shard_size.unwrap_or(u64::MAX)),
        FileLayout::Dcp => {
            split_rows(entries, max_shard_size, partition.map_or(1, |partition| partition.count), stream)
        }
    }
}

/// The files that one process writes.
fn shards_of_partition(partitioning: Partitioning, shards: &[Shard]) -> Vec<&Shard> {
    let Partition { number, count } = partitioning.partition.unwrap_or(Partition { number: 1, count: 1 });
    if partitioning.layout == FileLayout::Dcp
        && partitioning.max_shard_size.is_none()
        && partitioning.partition.is_some()
    {
        // One for each process, and none for those without values.
        let name = format!("shard-{number:05}-");
        return shards.iter().filter(|shard| shard.name.starts_with(&name)).collect();
    }
    shards.iter().skip(number - 1).step_by(count).collect()
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Files of the whole checkpoint.
    pub files: usize,
    /// Files that were written, without the index.
    pub written: usize,
    /// Files that were there, complete and right.
    pub kept: usize,
    /// Tensors in the files that were written or kept.
    pub tensors: u64,
    /// Their values.
    pub values: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of its parts a file still lacks that several processes write: it takes its name with the last.
    pub lacking: usize,
}

/// A file to write or to keep.
struct Planfile {
    path: PathBuf,
    stretch: TensorRange,
    header: Vec<u8>,
    exists: bool,
}

/// Writes a checkpoint of these tensors, or a process's part of it. In memory at a time: three chunks on the native
/// stream (and for `orthogonal` what its factorization takes), two tensors on torch's where they cannot be cut.
///
/// A file takes its name once all of it is on the disk; files that replace others take theirs when all are. The index
/// comes last. It does not depend on what was drawn: of several processes each writes it, the same bytes, and none
/// waits for another. `copies` has the values of tensors that are copied.
///
/// # Errors
/// As [`check`], what the stream cannot draw, what the system says to writing. A file that was there is then as it was.
pub fn checkpoint(
    plan: &CheckpointPlan,
    target: &Target,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Written> {
    let CheckpointPlan { planned, copies, metadata, draw, partitioning, .. } = plan;
    let (copies, partitioning) = (copies.as_deref(), *partitioning);
    let draw = Drawing { planned, copies, draw: *draw, cancel };
    check(planned, draw.draw.stream)?;
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    if let Some(part) = partitioning.partition.filter(|_| !partitioning.in_files()) {
        return partitioned_file::write(target, metadata, draw, part, progress);
    }
    let shards = shards(partitioning, &entries, draw.draw.stream);
    let (mut files, index) = prepare(target, &entries, &shards, metadata, partitioning)?;
    let values = files.iter().flat_map(|file| file.stretch.tensors(&entries)).map(|(_, values)| values.len());
    let mut done = Written {
        files: shards.len(),
        written: files.len(),
        tensors: files.iter().map(|file| file.stretch.tensors(&entries).count() as u64).sum(),
        values: values.map(|values| values as u64).sum(),
        bytes: files.iter().map(|file| file.stretch.bytes(&entries)).sum(),
        ..Written::default()
    };
    let made = !target.folder().exists();
    if target.existing.resume {
        files = unlike(target, files, draw, progress)?;
        done.kept = done.written - files.len();
        done.written = files.len();
    }
    let written = write(target, &files, draw, index, progress);
    if written.is_err() && made {
        // Empty, it is as good as never made; else it stays.
        _ = std::fs::remove_dir(target.folder());
    }
    written.map(|()| done)
}

/// Where an index goes, and its bytes.
type Index = (PathBuf, Vec<u8>);

/// What a process writes, refused if something else is in its place: its files, and the index with where it goes.
fn prepare(
    target: &Target,
    entries: &[Entry],
    shards: &[Shard],
    metadata: &[(String, String)],
    partitioning: Partitioning,
) -> Result<(Vec<Planfile>, Option<Index>)> {
    target.refuse_others(shards, partitioning.layout)?;
    let mut files = Vec::new();
    for shard in shards_of_partition(partitioning, shards) {
        let (path, exists) = target.look(&shard.name)?;
        let header = shards::header(shard, entries, metadata, partitioning.layout);
        files.push(Planfile { path, stretch: shard.stretch.clone(), header, exists });
    }
    let index = match index(entries, shards).filter(|_| partitioning.layout == FileLayout::Hf) {
        Some(bytes) => place_of_index(target, partitioning, &bytes)?.map(|path| (path, bytes)),
        None => None,
    };
    Ok((files, index))
}

/// A file of a checkpoint that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Its name in the folder.
    pub name: String,
    /// Tensors, or parts of them, that it will have.
    pub tensors: usize,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The files that a checkpoint will be, the index among them.
pub fn planned_files(
    planned: &[Planned],
    metadata: &[(String, String)],
    stream: StreamKind,
    partitioning: Partitioning,
) -> Vec<PlannedFile> {
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let shards = shards(partitioning, &entries, stream);
    let file = |shard: &Shard| {
        let header = shards::header(shard, &entries, metadata, partitioning.layout);
        let bytes = header.len() as u64 + shard.stretch.bytes(&entries);
        PlannedFile { name: shard.name.clone(), tensors: shard.stretch.tensors(&entries).count(), bytes }
    };
    let index = index(&entries, &shards).filter(|_| partitioning.layout == FileLayout::Hf);
    let index =
        index.map(|index| PlannedFile { name: INDEX.to_owned(), tensors: 0, bytes: index.len() as u64 });
    shards.iter().map(file).chain(index).collect()
}

/// Refuses what could not be written there because of what is there.
///
/// # Errors
/// As [`checkpoint`], before it writes anything.
pub fn check_target(
    target: &Target,
    planned: &[Planned],
    metadata: &[(String, String)],
    stream: StreamKind,
    partitioning: Partitioning,
) -> Result {
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let shards = shards(partitioning, &entries, stream);
    prepare(target, &entries, &shards, metadata, partitioning).map(|_| ())
}

/// Bytes of the values that a process writes or compares.
pub fn bytes(planned: &[Planned], stream: StreamKind, partitioning: Partitioning) -> u64 {
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    match partitioning.partition {
        Some(part) if !partitioning.in_files() => {
            partitioned_file::stretch(&entries, stream, part).bytes(&entries)
        }
        _ => {
            let shards = shards(partitioning, &entries, stream);
            shards_of_partition(partitioning, &shards)
                .into_iter()
                .map(|shard| shard.stretch.bytes(&entries))
                .sum()
        }
    }
}

/// Where the index goes, unless it is there.
fn place_of_index(target: &Target, partitioning: Partitioning, bytes: &[u8]) -> Result<Option<PathBuf>> {
    let path = target.place(INDEX)?;
    let same = path.is_file() && std::fs::read(&path).is_ok_and(|found| found == bytes);
    if same && !target.existing.force && (partitioning.partition.is_some() || target.existing.resume) {
        return Ok(None);
    }
    replaceable(&path)?;
    if path.exists() && !target.existing.force {
        return Err(Error::refused(&path, "exists already, of another checkpoint", Remedy::Force));
    }
    Ok(Some(path))
}

/// The files that are not there as they should be. What is there is compared to its last byte: read, and drawn again.
fn unlike(
    target: &Target,
    files: Vec<Planfile>,
    draw: Drawing<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Planfile>> {
    let planned = draw.planned;
    let refused = |file: &Planfile, what: &str| -> Result {
        if target.existing.force {
            return Ok(());
        }
        let message = format!("is not what would be written here: {what}");
        Err(Error::refused(&file.path, message, Remedy::Force))
    };
    let (mut wrong, mut candidates) = (Vec::new(), Vec::new());
    for file in files {
        if !file.exists {
            wrong.push(file);
        } else if let Some(what) = unlike_at_first_sight(&file, planned)? {
            refused(&file, what)?;
            wrong.push(file);
        } else {
            candidates.push(file);
        }
    }
    let stretches: Vec<_> = candidates.iter().map(|file| file.stretch.clone()).collect();
    let (mut current, mut place, mut found) = (0, 0u64, Vec::new());
    let mut open: Option<File> = None;
    let mut differ = vec![None; candidates.len()];
    draw.pump(&stretches, |item| {
        draw.check_cancelled()?;
        match item {
            Item::Begin(number) => {
                let Planfile { path, header, .. } = &candidates[number];
                let mut file = File::open(path).map_err(Error::io("open", path))?;
                (current, place) = (number, header.len() as u64);
                file.seek(SeekFrom::Start(place)).map_err(Error::io("read", path))?;
                open = Some(file);
                Ok(None)
            }
            Item::Values(values) => {
                let (bytes, path) = (values.bytes(), &candidates[current].path);
                if let (Some(file), None) = (&mut open, differ[current]) {
                    found.resize(bytes.len(), 0);
                    file.read_exact(&mut found).map_err(Error::io("read", path))?;
                    if found != *bytes {
                        let at = found.iter().zip(bytes.iter()).position(|(found, right)| found != right);
                        differ[current] = at.map(|at| place + at as u64);
                    }
                }
                place += bytes.len() as u64;
                progress.add(values.count() as u64, bytes.len() as u64);
                drop(bytes);
                Ok(Some(values))
            }
            Item::End => Ok(None),
        }
    })?;
    for (file, differs) in candidates.into_iter().zip(differ) {
        if let Some(at) = differs {
            refused(&file, &format!("its values differ, first at byte {at}"))?;
            wrong.push(file);
        }
    }
    wrong.sort_by_key(|file| file.stretch.start());
    Ok(wrong)
}

/// What size and header tell of a file already.
fn unlike_at_first_sight(file: &Planfile, planned: &[Planned]) -> Result<Option<&'static str>> {
    let Planfile { path, header, .. } = file;
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let values = file.stretch.bytes(&entries);
    let mut found = Vec::new();
    let mut open = File::open(path).map_err(Error::io("open", path))?;
    open.by_ref().take(header.len() as u64).read_to_end(&mut found).map_err(Error::io("read", path))?;
    if found != *header {
        return Ok(Some("its header tells of other tensors, another seed or another recipe"));
    }
    let size = open.metadata().map_err(Error::io("read", path))?.len();
    Ok((size != header.len() as u64 + values).then_some("it has another size"))
}

/// Refuses what the disk has no room for.
fn room(target: &Target, files: &[Planfile], planned: &[Planned]) -> Result {
    let entries: Vec<Entry> = planned.iter().map(|planned| planned.entry.clone()).collect();
    let wanted = files.iter().map(|file| file.header.len() as u64 + file.stretch.bytes(&entries)).sum();
    room_for(target, wanted)
}

/// Refuses bytes that the disk has no room for.
pub fn room_for(target: &Target, wanted: u64) -> Result {
    // Of a folder that is to be made the one that it will lie in.
    let folder = target.folder().ancestors().find(|folder| folder.is_dir());
    let folder = folder.unwrap_or(Path::new("."));
    match fs4::statvfs(folder) {
        // What has no room at all, as /proc, is no disk: making the file says what is wrong.
        Ok(disk) if disk.total_space() > 0 && disk.available_space() < wanted => {
            let free = disk.available_space();
            let (wanted, free) = (numbers::bytes(wanted), numbers::bytes(free));
            let message =
                format!("{wanted} are to be written, and the disk has {free} left: nothing was written");
            Err(Error::file(target.path(), message))
        }
        // A disk that does not tell is tried.
        _ => Ok(()),
    }
}

/// Files that may be open while they wait for their names: systems allow a process 256 and more.
const OPEN: usize = 128;

/// Writes these files, and the index after them.
fn write(
    target: &Target,
    files: &[Planfile],
    draw: Drawing<'_>,
    index: Option<(PathBuf, Vec<u8>)>,
    progress: &dyn Progress,
) -> Result {
    room(target, files, draw.planned)?;
    let force = target.existing.force;
    // Files that replace others take their names together, when all are whole: what was there stays until then.
    let together = files.iter().any(|file| file.exists);
    let finish = |unfinished: Unfinished| -> Result<Option<Whole>> {
        let mut whole = unfinished.sync()?;
        if together {
            if files.len() > OPEN {
                whole.close();
            }
            return Ok(Some(whole));
        }
        whole.take_name(force)?;
        Ok(None)
    };
    let stretches: Vec<_> = files.iter().map(|file| file.stretch.clone()).collect();
    let mut whole = Vec::new();
    std::thread::scope(|scope| -> Result {
        let mut current: Option<Unfinished> = None;
        // While the disk still takes in what is left of one file, the next is written.
        let mut finishing: Option<ScopedJoinHandle<'_, Result<Option<Whole>>>> = None;
        let mut wait = |finishing: Option<ScopedJoinHandle<'_, Result<Option<Whole>>>>| -> Result {
            if let Some(handle) = finishing {
                whole.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(())
        };
        draw.pump(&stretches, |item| {
            draw.check_cancelled()?;
            match item {
                Item::Begin(number) => {
                    let mut file = Unfinished::begin(&files[number].path)?;
                    file.write(&files[number].header)?;
                    current = Some(file);
                    Ok(None)
                }
                Item::Values(values) => {
                    let bytes = values.bytes();
                    if let Some(file) = &mut current {
                        file.write(&bytes)?;
                    }
                    progress.add(values.count() as u64, bytes.len() as u64);
                    drop(bytes);
                    Ok(Some(values))
                }
                Item::End => {
                    wait(finishing.take())?;
                    finishing = current.take().map(|file| scope.spawn(|| finish(file)));
                    Ok(None)
                }
            }
        })?;
        wait(finishing)
    })?;
    let index = match index {
        Some((path, bytes)) => {
            let mut file = Unfinished::begin(&path)?;
            file.write(&bytes)?;
            Some((file.sync()?, path))
        }
        None => None,
    };
    if let Some((_, path)) = index.as_ref().filter(|(_, path)| together && path.exists()) {
        // From here to the new index the folder is no checkpoint, rather than half of each.
        std::fs::remove_file(path).map_err(Error::io("replace", path))?;
        sync_folder(path)?;
    }
    for whole in whole {
        whole.take_name(force)?;
    }
    if let Some((index, _)) = index {
        // Another process may have written it meanwhile: the same bytes.
        index.take_name(true)?;
    }
    Ok(())
}
