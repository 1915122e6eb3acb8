//! `Checkpoint`: an open checkpoint, in files or in memory, from which tensors can be read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fanin_recipe::Manifest;

use crate::decode::{decode, decode_into};
use crate::error::{Error, Result};
use crate::file::SafetensorsFile;
use crate::file_names::{INDEX, SINGLE_FILE};
use crate::index::Index;
use crate::paths::parent_folder;

/// A reader of tensors that are not in safetensors files, for [`Checkpoint::from_source`]. Several threads may read at
/// the same time.
pub trait ReadTensor: std::fmt::Debug + Send + Sync {
    /// Fills `bytes` with data of the tensor at index `number` of the manifest. The data starts `offset` bytes after
    /// the start of the tensor. The values must be in row-major order and little-endian.
    ///
    /// # Errors
    /// Returns an error if the tensor cannot be read.
    fn read(&self, number: usize, offset: u64, bytes: &mut [u8]) -> Result;

    /// Returns whether the tensors must be read one after another, in the order of their indices. This is necessary,
    /// for example, if only one tensor at a time is kept in memory, or if several processes read each tensor together.
    fn is_sequential(&self) -> bool {
        false
    }
}

/// The source of the values of a checkpoint.
#[derive(Debug)]
enum Source {
    /// Safetensors files. `file_of_tensor` contains the index in `files` for each tensor.
    Files { files: Vec<SafetensorsFile>, file_of_tensor: Vec<usize> },
    /// Any other source, such as tensors in memory.
    Other(Box<dyn ReadTensor>),
}

/// A checkpoint that is open for reading. Its tensors are in one or more safetensors files, or are read by a
/// [`ReadTensor`].
///
/// Each tensor is identified by its index in `manifest.entries`.
#[derive(Debug)]
pub struct Checkpoint {
    /// All tensors, file by file. The tensors of a file are in the order of their values in the file.
    pub manifest: Manifest,
    source: Source,
    /// Messages about inconsistencies between the index and the files. These inconsistencies do not prevent reading.
    pub warnings: Vec<String>,
}

impl Checkpoint {
    /// Opens the checkpoint at `path`: a safetensors file, a JSON index, or a folder. Only headers are read.
    ///
    /// In a folder, the function opens the first of these that exists: the index, `model.safetensors`, or all
    /// safetensors files in alphabetical order.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, if a header or the index is invalid, or if a folder has no
    /// safetensors file. Without an index, it is an error if two files have a tensor of the same name. With an index,
    /// it is an error if the index and its files do not have the same tensors.
    ///
    /// A file may also have a copy of a tensor that the index assigns to another file. Such a copy is not read, and
    /// [`Checkpoint::warnings`] contains a message.
    pub fn open(path: &Path) -> Result<Self> {
        let (paths, index) = locate(path)?;
        let files = paths.iter().map(|path| SafetensorsFile::open(path)).collect::<Result<Vec<_>>>()?;
        let mut manifest = Manifest::default();
        let (mut file_of_tensor, mut file_of_name) = (Vec::new(), BTreeMap::new());
        // Copies of tensors that the index assigns to another file. The file with the copy may be left over from an
        // older version of the checkpoint.
        let mut stale: Vec<(&str, &PathBuf, String)> = Vec::new();
        for (number, file) in files.iter().enumerate() {
            for (key, value) in &file.manifest.metadata {
                if manifest.metadata(key).is_none() {
                    manifest.metadata.push((key.clone(), value.clone()));
                }
            }
            for entry in &file.manifest.entries {
                let indexed = index.as_ref().and_then(|index| index.weight_map().get(&entry.name));
                if let Some(indexed) = indexed.filter(|name| !paths[number].ends_with(name)) {
                    stale.push((entry.name.as_str(), &paths[number], indexed.clone()));
                    continue;
                }
                if let Some(first) = file_of_name.insert(entry.name.clone(), number) {
                    let (name, first) = (&entry.name, paths[first].display());
                    return Err(Error::file(&paths[number], format!("{first} also has a tensor {name:?}")));
                }
                manifest.entries.push(entry.clone());
                file_of_tensor.push(number);
            }
        }
        let mut warnings = match index {
            Some(index) => {
                let file_of_name = file_of_name.iter().map(|(name, &file)| (name.as_str(), file)).collect();
                compare_with_index(path, &index, &paths, &file_of_name, manifest.bytes())?
            }
            None => Vec::new(),
        };
        if let [(name, file, indexed), more @ ..] = stale.as_slice() {
            let more = match more.len() {
                0 => String::new(),
                more => format!(", and {more} more of this kind"),
            };
            let file = file.file_name().unwrap_or_default().to_string_lossy();
            warnings.push(format!(
                "{file} has another copy of {name:?}, for which the index names {indexed}{more}: the copy is not read"
            ));
        }
        drop(stale);
        Ok(Self { manifest, source: Source::Files { files, file_of_tensor }, warnings })
    }

    /// Returns a checkpoint with the tensors of `manifest`. `source` reads their values.
    pub fn from_source(manifest: Manifest, source: Box<dyn ReadTensor>) -> Self {
        Self { manifest, source: Source::Other(source), warnings: Vec::new() }
    }

    /// The largest number of values that [`values`](Self::values) passes to one call of `take`. As f64, these values
    /// take 8 KiB and fit in the L1 cache. They can therefore be read several times at little cost.
    pub const CHUNK: usize = 1 << 10;

    /// Calls `take` with all values of the tensor `manifest.entries[number]`, in row-major order. Each call receives a
    /// chunk of at most [`CHUNK`](Self::CHUNK) values, converted to f64 by [`decode`].
    ///
    /// Does not call `take` if fanin cannot convert values of the tensor's type to f64.
    ///
    /// # Errors
    /// Returns an error if the tensor cannot be read.
    pub fn values(&self, number: usize, take: impl FnMut(&[f64])) -> Result {
        self.values_of(number, std::iter::once(0..self.manifest.entries[number].values()), take)
    }

    /// Like [`values`](Self::values), but passes only the values whose row-major indices are in `ranges`. The ranges
    /// must be in ascending order and must not overlap.
    ///
    /// # Errors
    /// Returns an error if the tensor cannot be read.
    pub fn values_of(
        &self,
        number: usize,
        ranges: impl Iterator<Item = Range<usize>>,
        mut take: impl FnMut(&[f64]),
    ) -> Result {
        const READ: usize = 1 << 16;
        const FIRST_READ: usize = 1 << 12;
        let entry = &self.manifest.entries[number];
        if !entry.dtype.is_read() {
            return Ok(());
        }
        // One read covers several short ranges and the gaps between them. If the first range is short, so is the first
        // read, because there may be only one range. `first` is the row-major index of the first value in `bytes`.
        let (mut first, mut bytes, mut values) = (0, Vec::new(), Vec::new());
        let size = entry.dtype.size();
        let mut length = FIRST_READ;
        for mut range in ranges {
            while !range.is_empty() {
                if range.start * size >= first * size + bytes.len() {
                    first = range.start;
                    length = length.max(range.len()).min(READ);
                    bytes.resize(length.min(entry.values() - first) * size, 0);
                    self.read(number, (first * size) as u64, &mut bytes)?;
                    length *= 2;
                }
                let end = range.end.min(first + bytes.len() / size).min(range.start + Self::CHUNK);
                let stored = &bytes[(range.start - first) * size..(end - first) * size];
                decode_into(entry.dtype, stored, &mut values);
                take(&values);
                range.start = end;
            }
        }
        Ok(())
    }

    /// Fills `bytes` with data of the tensor `manifest.entries[number]`. The data starts `offset` bytes after the start
    /// of the tensor.
    ///
    /// # Errors
    /// Returns an error if the tensor cannot be read.
    pub fn read(&self, number: usize, offset: u64, bytes: &mut [u8]) -> Result {
        match &self.source {
            Source::Files { files, file_of_tensor } => {
                files[file_of_tensor[number]].read(&self.manifest.entries[number], offset, bytes)
            }
            Source::Other(source) => source.read(number, offset, bytes),
        }
    }

    /// Returns whether the tensors must be read one after another, in the order of their indices. See
    /// [`ReadTensor::is_sequential`].
    pub fn is_sequential(&self) -> bool {
        match &self.source {
            Source::Files { .. } => false,
            Source::Other(source) => source.is_sequential(),
        }
    }

    /// Returns `count` consecutive values of the tensor `manifest.entries[number]`, converted to f64 by [`decode`]. The
    /// first value has the row-major index `first`.
    ///
    /// # Errors
    /// Returns an error if the tensor cannot be read.
    pub fn window(&self, number: usize, first: usize, count: usize) -> Result<Vec<f64>> {
        let dtype = self.manifest.entries[number].dtype;
        let mut bytes = vec![0; count * dtype.size()];
        self.read(number, (first * dtype.size()) as u64, &mut bytes)?;
        Ok(decode(dtype, &bytes))
    }
}

/// The tensors of a model, from a manifest or from an open checkpoint. A manifest has the names, types and shapes of
/// the tensors. A checkpoint also has their values.
#[derive(Debug)]
pub enum ModelSource {
    /// The tensors of a built-in model, or of a manifest. They have no values.
    Manifest(Manifest),
    /// A checkpoint.
    Checkpoint(Checkpoint),
}

impl ModelSource {
    /// Opens the source at `path`. Reads only the headers of a checkpoint.
    ///
    /// `path` is the name of a built-in model, the path of a manifest in JSON, or the path of a checkpoint (a
    /// safetensors file, a folder or an index).
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or is neither a manifest nor a checkpoint.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(model) = path.to_str().and_then(fanin_recipe::Model::find).filter(|_| !path.exists()) {
            return Ok(Self::Manifest(model.manifest()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".json") && !name.ends_with(".index.json") && !path.is_dir() {
            return Ok(Self::Manifest(Manifest::read(path)?));
        }
        Ok(Self::Checkpoint(Checkpoint::open(path)?))
    }

    /// Returns the names, types and shapes of the model's tensors.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Manifest(manifest) => manifest,
            Self::Checkpoint(checkpoint) => &checkpoint.manifest,
        }
    }

    /// Returns the checkpoint, or `None` if the source is a manifest or a built-in model, which have no values.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match self {
            Self::Manifest(_) => None,
            Self::Checkpoint(checkpoint) => Some(checkpoint),
        }
    }
}

/// Reads the names, types and shapes of a model's tensors. See [`ModelSource::open`].
///
/// # Errors
/// Returns the errors of [`ModelSource::open`].
pub fn read_manifest(path: &Path) -> Result<Manifest> {
    Ok(match ModelSource::open(path)? {
        ModelSource::Manifest(manifest) => manifest,
        ModelSource::Checkpoint(checkpoint) => checkpoint.manifest,
    })
}

/// Returns the paths of a checkpoint's safetensors files, and the index of the checkpoint (`None` if there is no
/// index).
fn locate(path: &Path) -> Result<(Vec<PathBuf>, Option<Index>)> {
    let index_path = if path.is_dir() {
        Some(path.join(INDEX)).filter(|index| index.is_file())
    } else {
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        is_json.then(|| path.to_owned())
    };
    if let Some(index_path) = index_path {
        let index = Index::read(&index_path)?;
        let folder = index_path.parent().unwrap_or(Path::new(""));
        let paths = index.file_names().into_iter().map(|name| folder.join(name)).collect();
        return Ok((paths, Some(index)));
    }
    let paths = if path.is_dir() { files_in_folder(path)? } else { vec![path.to_owned()] };
    Ok((paths, None))
}

/// Finds the safetensors files of a folder that has no index. Returns only `model.safetensors` if this file exists,
/// otherwise all files.
fn files_in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(SINGLE_FILE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::file(folder, no_safetensors(folder)));
    }
    Ok(paths)
}

/// Returns the error message for a folder without a safetensors file. If the folder has weights in another format, the
/// message names such a file and its format.
fn no_safetensors(folder: &Path) -> String {
    let message = "there is no safetensors file in this folder".to_owned();
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut weights: Vec<PathBuf> = names
        .filter(|path| {
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            ["bin", "pt", "pth", "ckpt", "npz", "gguf", "h5", "keras", "msgpack"]
                .contains(&extension.as_str())
        })
        .collect();
    weights.sort();
    let described = weights.iter().find_map(|path| {
        let described = fanin_recipe::file_kind::of_file(path)?;
        Some(format!("{message}; {} is {described}", path.file_name()?.to_string_lossy()))
    });
    described.unwrap_or(message)
}

/// Compares an index with its files. Returns warnings about inconsistencies that do not prevent reading.
///
/// `file_of_name` maps the name of each tensor to the position of its file in `paths`. `size` is the total size of all
/// tensors in bytes.
///
/// # Errors
/// Returns an error if the index and the files do not have the same tensors, or if the folder cannot be read.
fn compare_with_index(
    path: &Path,
    index: &Index,
    paths: &[PathBuf],
    file_of_name: &BTreeMap<&str, usize>,
    size: u64,
) -> Result<Vec<String>> {
    for (name, file) in index.weight_map() {
        let found = file_of_name.get(name.as_str()).is_some_and(|&number| paths[number].ends_with(file));
        if !found {
            let message =
                format!("the index names {file} for {name:?}, but this file does not have the tensor");
            return Err(Error::file(path, message));
        }
    }
    if let Some(name) = file_of_name.keys().find(|name| !index.weight_map().contains_key(**name)) {
        let message = format!("the index does not have {name:?}, which is in one of its files");
        return Err(Error::file(path, message));
    }
    let mut warnings = Vec::new();
    let total = index.total_size();
    if !total.is_null() && total.as_u64() != Some(size) {
        warnings.push(format!("total_size is {total} in the index, but the tensors have {size} bytes"));
    }
    let unindexed = unindexed_files(paths)?;
    if !unindexed.is_empty() {
        warnings.push(format!("the index does not name {}: not read", unindexed.join(", ")));
    }
    Ok(warnings)
}

/// Returns the names of the files in the folder of `paths` that are named like shards, but are not in `paths`.
fn unindexed_files(paths: &[PathBuf]) -> Result<Vec<String>> {
    let folder = paths.first().map_or(Path::new("."), |path| parent_folder(path));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let shard = name.to_str().is_some_and(|name| name.contains("-of-") && name.ends_with(".safetensors"));
        if shard && paths.iter().all(|path| path.file_name() != Some(&name)) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
