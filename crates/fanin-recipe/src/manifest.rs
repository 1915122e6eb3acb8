//! Manifests: the names, shapes and dtypes of a model's tensors.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::error::{Error, Result};
pub use crate::stored_type::StoredType;

/// The maximum length of a header in bytes. The safetensors library rejects longer headers.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The maximum size of a file in bytes. A manifest is invalid if the tensors have more bytes in total.
pub const MAX_FILE_BYTES: u64 = i64::MAX as u64;

/// A tensor of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of the tensor.
    pub name: String,
    /// The dtype in which the values are stored.
    pub dtype: StoredType,
    /// The sizes of the tensor's axes.
    pub shape: Vec<usize>,
    /// Start and end (exclusive) of the tensor's data, in bytes from the end of the header. `None` if the JSON of the
    /// tensor has no `data_offsets`, for example in a built-in manifest.
    pub offsets: Option<(u64, u64)>,
}

impl Entry {
    /// Returns the number of values.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the size of the tensor's values in bytes. Returns `u64::MAX` if the size does not fit in a `u64`.
    pub fn bytes(&self) -> u64 {
        self.bytes_of(self.values())
    }

    /// Returns the size of `values` elements of the tensor's dtype in bytes, rounded up. Returns `u64::MAX` if the size
    /// does not fit in a `u64`.
    pub fn bytes_of(&self, values: usize) -> u64 {
        let bits = values as u128 * self.dtype.bits() as u128;
        u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX)
    }
}

/// The names, shapes and dtypes of a model's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The keys and values of the header's `__metadata__`.
    pub metadata: Vec<(String, String)>,
    /// The tensors. [`Manifest::from_json`] returns the tensors in the order of the JSON text.
    pub entries: Vec<Entry>,
}

/// The JSON object that describes a tensor in a header.
#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: Option<(u64, u64)>,
}

/// A member of a header's JSON object: a tensor or the metadata.
enum Member {
    Tensor(Tensor),
    /// The metadata. `None` if the JSON value is null, which the safetensors library accepts as no metadata.
    Metadata(Option<std::collections::BTreeMap<String, String>>),
}

/// Deserializes the JSON object of a header to a vector of its members, in the order of the JSON text. If a name occurs
/// twice, the vector contains both members. The only field of `Members` is a cell for error messages. After an error in
/// a member, the cell contains the member's name. After any other error, the cell is empty.
struct Members<'a>(&'a Cell<String>);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<(String, Member)>;
    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(String, Member)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps names to tensors")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Self::Value, M::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            self.0.set(name.clone());
            let member = match name.as_str() {
                METADATA => Member::Metadata(map.next_value()?),
                _ => Member::Tensor(map.next_value()?),
            };
            members.push((name, member));
            self.0.take();
        }
        Ok(members)
    }
}

/// The name of the metadata in a header. All other members of a header are tensors.
const METADATA: &str = "__metadata__";

impl Manifest {
    /// Parses the JSON of a safetensors header, with or without `data_offsets`. Error messages show `path`.
    ///
    /// # Errors
    /// Returns [`Error::File`] in any of these cases:
    /// - `json` is not the JSON of a header.
    /// - A name occurs twice.
    /// - A dtype is unknown.
    /// - The product of a tensor's non-zero sizes does not fit in an `isize`.
    /// - The number of bits of a tensor is not a multiple of 8.
    /// - All tensors together have more than [`MAX_FILE_BYTES`] bytes.
    pub fn from_json(json: &str, path: &Path) -> Result<Self> {
        let current = Cell::new(String::new());
        let mut reader = serde_json::Deserializer::from_str(json);
        let members =
            Members(&current).deserialize(&mut reader).and_then(|members| reader.end().map(|()| members));
        let members = members.map_err(|error| {
            let name = current.take();
            let message = match name.as_str() {
                "" => format!("not the JSON of a safetensors header: {error}"),
                METADATA => format!("{METADATA}: must be an object whose values are strings: {error}"),
                _ => {
                    let expected =
                        "a tensor is an object with dtype, shape and, in a checkpoint, data_offsets";
                    format!("{name:?}: {expected}: {error}")
                }
            };
            Error::file(path, message)
        })?;
        let mut manifest = Manifest::default();
        let mut seen = std::collections::HashSet::new();
        let mut total = 0u64;
        for (name, member) in members {
            let wrong = |message: String| Error::file(path, format!("{name:?}: {message}"));
            if !seen.insert(name.clone()) {
                return Err(Error::file(path, format!("the name {name:?} appears twice")));
            }
            let Tensor { dtype, shape, data_offsets } = match member {
                Member::Tensor(tensor) => tensor,
                Member::Metadata(metadata) => {
                    manifest.metadata = metadata.into_iter().flatten().collect();
                    continue;
                }
            };
            let dtype = StoredType::named(&dtype).ok_or_else(|| {
                let known: Vec<String> = StoredType::ALL.iter().map(ToString::to_string).collect();
                wrong(format!("unknown dtype {dtype:?}: the format has {}", known.join(", ")))
            })?;
            let sizes: Option<Vec<usize>> = shape.iter().map(|&size| size.try_into().ok()).collect();
            let shape = sizes.filter(|shape| fanin::element_count(shape).is_ok()).ok_or_else(|| {
                wrong(format!("a tensor of shape {shape:?} has more elements than memory can address"))
            })?;
            let entry = Entry { name: name.clone(), dtype, shape, offsets: data_offsets };
            if !(entry.values() as u128 * dtype.bits() as u128).is_multiple_of(8) {
                let shape = &entry.shape;
                return Err(wrong(format!("{dtype} {shape:?} needs a number of bytes that is not whole")));
            }
            total = total.saturating_add(entry.bytes());
            if total > MAX_FILE_BYTES {
                return Err(wrong(
                    "the tensors up to this one have more bytes than a file can have".to_owned(),
                ));
            }
            manifest.entries.push(entry);
        }
        Ok(manifest)
    }

    /// Returns the metadata value of `key`, or `None` if the metadata does not contain `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns the total number of values of all tensors.
    pub fn values(&self) -> u64 {
        self.entries.iter().map(|entry| entry.values() as u64).sum()
    }

    /// Returns the total number of bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(Entry::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Manifest> {
        Manifest::from_json(json, Path::new("m.json"))
    }

    #[test]
    fn from_json_keeps_the_order_of_tensors_and_reads_the_metadata() {
        let json = r#"{"__metadata__": {"model": "x"}, "z": {"dtype": "F32", "shape": [2, 3]},
                       "a": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]}}"#;
        let manifest = read(json).unwrap();
        assert_eq!(manifest.metadata("model"), Some("x"));
        assert_eq!(manifest.entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!((manifest.values(), manifest.bytes()), (7, 32));
        assert_eq!(manifest.entries[1].offsets, Some((24, 32)));
        let json = r#"{"__metadata__": null, "z": {"dtype": "F32", "shape": [2, 3]}}"#;
        assert_eq!(read(json).unwrap().metadata, []);
    }

    #[test]
    fn error_messages_contain_the_tensor_and_the_mistake() {
        for (json, needle) in [
            ("[]", "not the JSON of a safetensors header"),
            ("{", "not the JSON"),
            (
                r#"{"a": {"dtype": "F32", "shape": [1]}, "a": {"dtype": "F32", "shape": [1]}}"#,
                "\"a\" appears twice",
            ),
            (r#"{"a": {"dtype": "F31", "shape": [1]}}"#, "unknown dtype \"F31\""),
            (r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 2]}}"#, "more elements"),
            (
                r#"{"a": {"dtype": "F64", "shape": [2305843009213693952]}}"#,
                "\"a\": the tensors up to this one",
            ),
            (
                r#"{"a": {"dtype": "U8", "shape": [4611686018427387904]}, "b": {"dtype": "U8", "shape": [4611686018427387904]}}"#,
                "\"b\": the tensors up to this one",
            ),
            (r#"{"a": {"dtype": "F32", "shape": [-1]}}"#, "\"a\": a tensor is an object"),
            (r#"{"a": {"dtype": "F32"}}"#, "\"a\""),
            (r#"{"a": {"b": "c"}}"#, "\"a\": a tensor is an object"),
            (r#"{"a": 3}"#, "\"a\": a tensor is an object"),
            (r#"{"a": {"dtype": "F32", "shape": [1], "dtype": "F64"}}"#, "duplicate field `dtype`"),
            (r#"{"__metadata__": {"n": 3}}"#, "__metadata__: must be an object whose values are strings"),
            (r#"{"__metadata__": {}, "__metadata__": {}}"#, "appears twice"),
            (
                r#"{"a": {"dtype": "F4", "shape": [3]}}"#,
                "\"a\": F4 [3] needs a number of bytes that is not whole",
            ),
            (r#"{} x"#, "not the JSON"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(needle) && error.starts_with("m.json: "), "{json}: {error}");
        }
    }
}
