//! Where a checkpoint goes: refused before any work if it cannot.

use std::path::{Path, PathBuf};

use crate::error::{Error, Remedy, Result};
use crate::options::{Existing, FileLayout, Form};
use crate::shards::{INDEX, Shard, WHOLE, is_part};

/// A place that a checkpoint may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    folder: PathBuf,
    /// The file, if it is one that was named; else the layout names the folder's files.
    file: Option<PathBuf>,
    pub(crate) existing: Existing,
}

impl Target {
    /// The file `output`, or the folder if it is one or ends like one; a checkpoint in `shards` goes to a folder. What
    /// a link names is what is written, so that it goes on pointing there. Nothing is made yet.
    ///
    /// # Errors
    /// An existing file that is not to be replaced or kept, one that is no file, a folder that is not there.
    pub fn new(output: &Path, form: Form, existing: Existing) -> Result<Self> {
        let shards = form == Form::Files;
        let named_as_folder =
            output.as_os_str().to_string_lossy().chars().next_back().is_some_and(std::path::is_separator);
        let named_as_file = output.extension().is_some_and(|extension| extension == "safetensors");
        if shards && !named_as_folder && !output.is_dir() && (output.exists() || named_as_file) {
            return Err(Error::refused(
                output,
                "a checkpoint in shards goes to a folder",
                Remedy::OutputFolder,
            ));
        }
        // The name of a pipe, as /dev/stdout may be, leads to no file that could be found.
        if output.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let message = "is not a regular file. A checkpoint takes its name when all of it is on the disk: it cannot go \
                           through a pipe or to a device";
            return Err(Error::file(output, message));
        }
        let (folder, file) = if named_as_folder || shards || output.is_dir() {
            (output.to_owned(), None)
        } else {
            let file = followed(output)?;
            (parent(&file).to_owned(), Some(file))
        };
        if !folder.is_dir() && (file.is_some() || folder.exists()) {
            let what = if folder.exists() {
                "is no folder"
            } else {
                "there is no such folder to write to: make it first"
            };
            return Err(Error::file(&folder, what));
        }
        let target = Self { folder, file, existing };
        if form == Form::File {
            target.look(WHOLE)?;
        }
        Ok(target)
    }

    /// The folder that the files lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the user is told was written.
    pub fn path(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.folder)
    }

    /// The path of the file that the layout calls `name`.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => followed(&self.folder.join(name)),
        }
    }

    /// The path of the file that the layout calls `name`, and whether it is there.
    ///
    /// # Errors
    /// If it is and must not be.
    pub fn look(&self, name: &str) -> Result<(PathBuf, bool)> {
        let path = self.place(name)?;
        // A name too long, or a folder that is not to be entered, is told before the work, not after.
        if !path.try_exists().map_err(Error::io("write to", &path))? {
            return Ok((path, false));
        }
        replaceable(&path)?;
        if self.existing == Existing::default() {
            return Err(Error::refused(&path, "exists already", Remedy::ForceOrResume));
        }
        Ok((path, true))
    }

    /// Refuses a folder with files of another checkpoint: readers would mix the two up.
    pub fn refuse_others(&self, shards: &[Shard], layout: FileLayout) -> Result {
        if self.file.is_some() || !self.folder.is_dir() {
            return Ok(());
        }
        let dcp = layout == FileLayout::Dcp;
        let ours = |name: &str| {
            (name == INDEX && shards.len() > 1 && !dcp) || shards.iter().any(|shard| shard.name == name)
        };
        // torch's reader of distributed checkpoints reads every file of the format.
        let theirs = |name: &str| is_part(name) || (dcp && name.ends_with(".safetensors"));
        let mut others = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))? {
            let name = entry.map_err(Error::io("read", &self.folder))?.file_name();
            others.extend(name.to_str().filter(|name| theirs(name) && !ours(name)).map(str::to_owned));
        }
        others.sort();
        let Some(first) = others.first() else { return Ok(()) };
        let more = if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
        let message = format!(
            "the folder has {first}{more} of a checkpoint in other files, and readers would mix the two up: remove them, \
             or choose another folder"
        );
        Err(Error::file(&self.folder, message))
    }
}

/// Refuses what is no file: a device or a pipe would be lost, replaced and not written to; a folder cannot be replaced.
pub fn replaceable(path: &Path) -> Result {
    if path.exists() && !path.is_file() {
        return Err(Error::file(path, "is not a regular file, and a checkpoint would take its place"));
    }
    Ok(())
}

/// Where a path ends that may be a link, whether or not something is there.
fn followed(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        return if path.is_symlink() {
            path.canonicalize().map_err(Error::io("find", path))
        } else {
            Ok(path.into())
        };
    }
    let mut end = path.to_owned();
    for _ in 0..40 {
        match std::fs::read_link(&end) {
            Ok(next) => end = parent(&end).join(next),
            Err(_) => return Ok(end),
        }
    }
    Err(Error::file(path, "this link leads in a circle"))
}

pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
