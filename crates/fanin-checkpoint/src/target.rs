//! `Target`, the path to which a checkpoint is written. The path is checked before any value is drawn.

use std::path::{Path, PathBuf};

use crate::error::{Error, Remedy, Result};
use crate::file_names::{INDEX, SINGLE_FILE, is_hf_name};
use crate::options::{Existing, FileLayout, OutputForm};
use crate::paths::{parent_folder, resolve_links};
use crate::shards::Shard;

/// The path to which a checkpoint is written: a file or a folder. The caller chooses the name of the file. The names of
/// the files in a folder depend on the file layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    folder: PathBuf,
    /// The path of the file. `None` if the output is a folder.
    file: Option<PathBuf>,
    pub(crate) existing: Existing,
}

impl Target {
    /// Returns the target for the path `output`. Does not create a file or a folder.
    ///
    /// If `form` is [`OutputForm::Folder`], the target is the folder `output`. Every other form writes a single file.
    /// If `output` is an existing folder or ends with a path separator, the target is this folder, and the single file
    /// is `model.safetensors` in this folder. Otherwise the target is the file `output`. If `output` is a symbolic
    /// link, the linked file is written. The link itself does not change.
    ///
    /// # Errors
    /// Returns an error in these cases:
    /// * `form` is [`OutputForm::File`], the file to be written (`output`, or `model.safetensors` in the target folder)
    ///   exists, and `existing` does not allow existing files.
    /// * `form` is [`OutputForm::Folder`], but `output` is a file, or ends with `.safetensors` and is not a folder.
    /// * `output` is a device or a pipe.
    /// * `output` is a symbolic link that leads to itself.
    /// * The folder of the file does not exist or is not a folder.
    pub fn new(output: &Path, form: OutputForm, existing: Existing) -> Result<Self> {
        let named_as_folder =
            output.as_os_str().to_string_lossy().chars().next_back().is_some_and(std::path::is_separator);
        check_kind(output, form, named_as_folder)?;
        let (folder, file) = if named_as_folder || form == OutputForm::Folder || output.is_dir() {
            (output.to_owned(), None)
        } else {
            let file = resolve_links(output)?;
            (parent_folder(&file).to_owned(), Some(file))
        };
        if folder.exists() && !folder.is_dir() {
            return Err(Error::file(&folder, "is not a folder"));
        }
        if file.is_some() && !folder.exists() {
            return Err(Error::file(&folder, "no such folder: create it first"));
        }
        let target = Self { folder, file, existing };
        if form == OutputForm::File {
            target.check_file(SINGLE_FILE)?;
        }
        Ok(target)
    }

    /// Returns the folder of the checkpoint's files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the output: the file, or the folder.
    pub fn path(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.folder)
    }

    /// Returns the path of the file `name` in the target folder. If the target is a file, returns its path and ignores
    /// `name`.
    pub(crate) fn file_path(&self, name: &str) -> Result<PathBuf> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => resolve_links(&self.folder.join(name)),
        }
    }

    /// Returns the path that [`file_path`](Self::file_path) returns, and true if a file exists there.
    ///
    /// # Errors
    /// Returns an error if the file exists and the options do not allow existing files. Also returns an error if the
    /// operating system rejects the path, for example because the name is too long.
    pub(crate) fn check_file(&self, name: &str) -> Result<(PathBuf, bool)> {
        let path = self.file_path(name)?;
        if !path.try_exists().map_err(Error::io("write to", &path))? {
            return Ok((path, false));
        }
        check_replaceable(&path)?;
        if self.existing == Existing::default() {
            return Err(Error::refused(&path, "exists already", Remedy::ForceOrResume));
        }
        Ok((path, true))
    }

    /// Returns an error if the folder contains files of another checkpoint, which readers would mix with this
    /// checkpoint.
    ///
    /// # Errors
    /// The error names the first of these files.
    pub(crate) fn check_no_other_checkpoint(&self, shards: &[Shard], layout: FileLayout) -> Result {
        if self.file.is_some() || !self.folder.is_dir() {
            return Ok(());
        }
        let dcp = layout == FileLayout::Dcp;
        let written = |name: &str| {
            (name == INDEX && shards.len() > 1 && !dcp) || shards.iter().any(|shard| shard.name == name)
        };
        // torch's reader of the `dcp` layout reads every safetensors file in the folder.
        let read = |name: &str| is_hf_name(name) || (dcp && name.ends_with(".safetensors"));
        let mut others = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))? {
            let name = entry.map_err(Error::io("read", &self.folder))?.file_name();
            others.extend(name.to_str().filter(|name| read(name) && !written(name)).map(str::to_owned));
        }
        others.sort();
        let Some(first) = others.first() else { return Ok(()) };
        let more = if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
        let message = format!(
            "the folder has files of another checkpoint ({first}{more}), which readers would mix with this one: remove \
             them, or choose another folder"
        );
        Err(Error::file(&self.folder, message))
    }
}

/// Returns an error if `output` is a pipe or a device, or if `output` is a file but a folder is needed.
fn check_kind(output: &Path, form: OutputForm, named_as_folder: bool) -> Result {
    let named_as_file = output.extension().is_some_and(|extension| extension == "safetensors");
    let is_file = !named_as_folder && !output.is_dir() && (output.exists() || named_as_file);
    if form == OutputForm::Folder && is_file {
        let message = "a checkpoint in several files must be written to a folder, not to a file";
        return Err(Error::refused(output, message, Remedy::OutputFolder));
    }
    // A link to a pipe, such as /dev/stdout, does not resolve to a path. This check must therefore come before
    // `resolve_links`.
    if output.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let message = "is not a regular file. A checkpoint is written to a temporary file that is then renamed, so it \
                       cannot go to a pipe or a device";
        return Err(Error::file(output, message));
    }
    Ok(())
}

/// Returns an error if `path` exists and is not a regular file. A rename to `path` would destroy a pipe or a device.
pub(crate) fn check_replaceable(path: &Path) -> Result {
    if path.exists() && !path.is_file() {
        return Err(Error::file(
            path,
            "is not a regular file, and cannot be replaced by one of the checkpoint",
        ));
    }
    Ok(())
}
