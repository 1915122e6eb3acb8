//! A checkpoint in one file or in many, read as one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::Checkpoint;
use super::shards::{INDEX, WHOLE, Weights};
use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// The files of a checkpoint.
#[derive(Debug)]
pub struct Checkpoints {
    /// All tensors: file after file, in the order of their values.
    pub manifest: Manifest,
    files: Vec<Checkpoint>,
    /// Of each tensor the file that it is in.
    homes: Vec<usize>,
}

/// What an index says.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: Weights,
}

impl Checkpoints {
    /// Opens a safetensors file, an index in JSON, or a folder: the index in it, else its model.safetensors, else all
    /// its safetensors files by name.
    ///
    /// # Errors
    /// Whatever is wrong with a file; a name in two files; an index that names what is not there, or lacks what is.
    pub fn open(path: &Path) -> Result<Self> {
        let (paths, index) = if path.is_dir() {
            let index = path.join(INDEX);
            if index.is_file() { indexed(&index)? } else { (in_folder(path)?, None) }
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            indexed(path)?
        } else {
            (vec![path.to_owned()], None)
        };
        let files = paths.iter().map(|path| Checkpoint::open(path)).collect::<Result<Vec<_>>>()?;
        let mut manifest = Manifest::default();
        let (mut homes, mut seen) = (Vec::new(), BTreeMap::new());
        for (home, file) in files.iter().enumerate() {
            for (key, value) in &file.manifest.metadata {
                if manifest.metadata(key).is_none() {
                    manifest.metadata.push((key.clone(), value.clone()));
                }
            }
            for entry in &file.manifest.entries {
                if let Some(first) = seen.insert(entry.name.clone(), home) {
                    let (name, first) = (&entry.name, paths[first].display());
                    return Err(Error::file(&paths[home], format!("{name:?} stands in {first} already")));
                }
                manifest.entries.push(entry.clone());
                homes.push(home);
            }
        }
        if let Some(weights) = index {
            for (name, file) in &weights {
                let found = seen.get(name).is_some_and(|&home| paths[home].ends_with(file));
                if !found {
                    return Err(Error::file(
                        path,
                        format!("the index has {name:?} in {file}, and it is not there"),
                    ));
                }
            }
            if let Some(name) = seen.keys().find(|name| !weights.contains_key(*name)) {
                return Err(Error::file(path, format!("the index lacks {name:?}, which a file of it has")));
            }
        }
        Ok(Self { manifest, files, homes })
    }

    /// As [`Checkpoint::values`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(&mut self, number: usize, take: impl FnMut(&[f64])) -> Result {
        self.files[self.homes[number]].values(&self.manifest.entries[number], take)
    }

    /// As [`Checkpoint::read`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, number: usize, at: u64, bytes: &mut [u8]) -> Result {
        self.files[self.homes[number]].read(&self.manifest.entries[number], at, bytes)
    }

    /// As [`Checkpoint::window`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn window(&self, number: usize, first: usize, count: usize) -> Result<Vec<f64>> {
        self.files[self.homes[number]].window(&self.manifest.entries[number], first, count)
    }
}

/// The files of an index, and what it says of each tensor.
fn indexed(path: &Path) -> Result<(Vec<PathBuf>, Option<Weights>)> {
    let text = crate::manifest::read_json(path)?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|error| Error::file(path, format!("not the index of a sharded checkpoint: {error}")))?;
    let mut names: Vec<&String> = index.weight_map.values().collect();
    names.sort();
    names.dedup();
    // A shard lies beside its index: nothing else is opened on a file's word.
    if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(Error::file(path, format!("{name:?} is no file's name: shards lie beside their index")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths = names.into_iter().map(|name| folder.join(name)).collect();
    Ok((paths, Some(index.weight_map)))
}

/// The safetensors files of a folder.
fn in_folder(path: &Path) -> Result<Vec<PathBuf>> {
    let whole = path.join(WHOLE);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io("read", path))? {
        let path = entry.map_err(Error::io("read", path))?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::file(path, "there is no safetensors file in this folder"));
    }
    Ok(paths)
}
