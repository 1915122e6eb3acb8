//! A checkpoint in one file or in many, read as one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};
use crate::file::SafetensorsFile;
use crate::shards::{INDEX, WHOLE, Weights};
use fanin_recipe::header::{read_json, regular};
use fanin_recipe::manifest::Manifest;

/// The files of a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// All tensors: file after file, in the order of their values.
    pub manifest: Manifest,
    files: Vec<SafetensorsFile>,
    /// Of each tensor the file that it is in.
    homes: Vec<usize>,
    /// What is odd about its index, but no error.
    pub warnings: Vec<String>,
}

/// What an index says.
#[derive(serde::Deserialize)]
struct Index {
    weight_map: Once,
    #[serde(default)]
    metadata: serde_json::Value,
}

/// The file of each tensor, each tensor once.
struct Once(Weights);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Once;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of file names")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Once, M::Error> {
                let mut weights = Weights::new();
                while let Some((name, file)) = map.next_entry::<String, String>()? {
                    if weights.contains_key(&name) {
                        return Err(M::Error::custom(format!(
                            "the name {name:?} stands twice in weight_map"
                        )));
                    }
                    weights.insert(name, file);
                }
                Ok(Once(weights))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl Checkpoint {
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
        let files = paths.iter().map(|path| SafetensorsFile::open(path)).collect::<Result<Vec<_>>>()?;
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
        let mut warnings = Vec::new();
        if let Some(Index { weight_map: Once(weights), metadata }) = index {
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
            let (size, total) = (manifest.bytes(), &metadata["total_size"]);
            if !total.is_null() && total.as_u64() != Some(size) {
                warnings
                    .push(format!("the index says total_size {total}, and the tensors have {size} bytes"));
            }
            let strays = strays(&paths)?;
            if !strays.is_empty() {
                warnings.push(format!("the index does not name {}: not read", strays.join(", ")));
            }
        }
        Ok(Self { manifest, files, homes, warnings })
    }

    /// As [`SafetensorsFile::values`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values(&self, number: usize, take: impl FnMut(&[f64])) -> Result {
        self.files[self.homes[number]].values(&self.manifest.entries[number], take)
    }

    /// As [`SafetensorsFile::values_of`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn values_of(
        &self,
        number: usize,
        runs: impl Iterator<Item = Range<usize>>,
        take: impl FnMut(&[f64]),
    ) -> Result {
        self.files[self.homes[number]].values_of(&self.manifest.entries[number], runs, take)
    }

    /// As [`SafetensorsFile::read`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self, number: usize, at: u64, bytes: &mut [u8]) -> Result {
        self.files[self.homes[number]].read(&self.manifest.entries[number], at, bytes)
    }

    /// As [`SafetensorsFile::window`], of the tensor of that number in the manifest.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn window(&self, number: usize, first: usize, count: usize) -> Result<Vec<f64>> {
        self.files[self.homes[number]].window(&self.manifest.entries[number], first, count)
    }
}

/// Reads names, types and shapes: of a built-in model by its name, of a manifest in JSON, or of a checkpoint (a file, a
/// folder or an index; only headers are read).
///
/// # Errors
/// A file that cannot be read or is none of these.
pub fn read_manifest(path: &Path) -> Result<Manifest> {
    if let Some(model) = path.to_str().and_then(fanin_recipe::Model::find).filter(|_| !path.exists()) {
        return Ok(model.manifest());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".json") && !name.ends_with(".index.json") && !path.is_dir() {
        return Ok(Manifest::read(path)?);
    }
    Ok(Checkpoint::open(path)?.manifest)
}

/// The files of an index, and what it says of each tensor.
fn indexed(path: &Path) -> Result<(Vec<PathBuf>, Option<Index>)> {
    let meta = std::fs::metadata(path).map_err(Error::io("open", path))?;
    regular(path, &meta)?;
    let text = read_json(path)?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|error| Error::file(path, format!("not the index of a sharded checkpoint: {error}")))?;
    if index.weight_map.0.is_empty() {
        return Err(Error::file(path, "the index names no tensor: its weight_map is empty"));
    }
    let mut names: Vec<&String> = index.weight_map.0.values().collect();
    names.sort();
    names.dedup();
    // A shard lies beside its index: nothing else is opened on a file's word.
    if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(Error::file(path, format!("{name:?} is no file's name: shards lie beside their index")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let paths = names.into_iter().map(|name| folder.join(name)).collect();
    Ok((paths, Some(index)))
}

/// The files beside these that are called as shards are, k of n, and are none of them.
fn strays(paths: &[PathBuf]) -> Result<Vec<String>> {
    let folder = paths.first().and_then(|path| path.parent()).filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut strays = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let shard = name.to_str().is_some_and(|name| name.contains("-of-") && name.ends_with(".safetensors"));
        if shard && paths.iter().all(|path| path.file_name() != Some(&name)) {
            strays.push(name.to_string_lossy().into_owned());
        }
    }
    strays.sort();
    Ok(strays)
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
