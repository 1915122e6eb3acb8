//! The index of a checkpoint in the `hf` layout: a JSON file that contains the file name of each tensor.

use std::collections::BTreeMap;
use std::path::Path;

use fanin_recipe::header::{read_json, regular};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{Error, Result};

/// A map from the name of each tensor to the name of its file.
pub(crate) type WeightMap = BTreeMap<String, String>;

/// An index that was read from a file.
#[derive(serde::Deserialize)]
pub(crate) struct Index {
    weight_map: UniqueNames,
    #[serde(default)]
    metadata: serde_json::Value,
}

impl Index {
    /// Reads and checks an index, but does not open the files that the index names.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not an index, lists no tensor, or lists a tensor twice. A file
    /// name with a folder is also an error, because an index must not make readers open files in other folders.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(Error::io("open", path))?;
        regular(path, &metadata)?;
        let text = read_json(path)?;
        let index: Index = serde_json::from_str(&text)
            .map_err(|error| Error::file(path, format!("not the index of a sharded checkpoint: {error}")))?;
        if index.weight_map().is_empty() {
            return Err(Error::file(path, "the index names no tensor: its weight_map is empty"));
        }
        let is_file_name = |name: &&String| Path::new(name).file_name() == Some(name.as_ref());
        if let Some(name) = index.weight_map().values().find(|name| !is_file_name(name)) {
            let message = format!("{name:?} is not a file name: shards must be in the folder of their index");
            return Err(Error::file(path, message));
        }
        Ok(index)
    }

    /// Returns the map from tensor names to file names.
    pub(crate) fn weight_map(&self) -> &WeightMap {
        &self.weight_map.0
    }

    /// Returns the file names in alphabetical order, without duplicates.
    pub(crate) fn file_names(&self) -> Vec<&String> {
        let mut names: Vec<&String> = self.weight_map().values().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Returns `metadata.total_size`, the number of bytes of all tensors. Returns JSON's null if this member is
    /// missing.
    pub(crate) fn total_size(&self) -> &serde_json::Value {
        &self.metadata["total_size"]
    }
}

/// A weight map that rejects duplicate tensors when it is parsed. For an ordinary map, serde would silently keep the
/// last of the duplicates.
struct UniqueNames(WeightMap);

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = UniqueNames;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of file names")
            }
            fn visit_map<M: MapAccess<'de>>(
                self,
                mut entries: M,
            ) -> std::result::Result<UniqueNames, M::Error> {
                let mut weights = WeightMap::new();
                while let Some((name, file)) = entries.next_entry::<String, String>()? {
                    if weights.contains_key(&name) {
                        return Err(M::Error::custom(format!("weight_map has the name {name:?} twice")));
                    }
                    weights.insert(name, file);
                }
                Ok(UniqueNames(weights))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// Returns the bytes of an index, with exactly the format of Hugging Face's libraries. `total_size` is the number of
/// bytes of all tensors.
pub(crate) fn to_bytes(weight_map: WeightMap, total_size: u64) -> Vec<u8> {
    /// The members are serialized in alphabetical order, as in Hugging Face's files.
    #[derive(Serialize)]
    struct IndexFile {
        metadata: BTreeMap<&'static str, u64>,
        weight_map: WeightMap,
    }
    let metadata = BTreeMap::from([("total_size", total_size)]);
    let index = IndexFile { metadata, weight_map };
    let mut bytes = serde_json::to_vec_pretty(&index).expect("strings and numbers are valid JSON");
    bytes.push(b'\n');
    bytes
}
