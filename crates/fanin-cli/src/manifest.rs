//! Names, types and shapes of a model's tensors, in the order of its state_dict.

use std::fmt;
use std::path::Path;

use fanin::DType;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a safetensors file stores values. The names are the format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the type of its name")]
#[allow(non_camel_case_types, reason = "the names are the format's")]
pub enum StoredType {
    F64,
    F32,
    F16,
    BF16,
    F8_E4M3,
    F8_E5M2,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    BOOL,
}

impl StoredType {
    /// The type that fanin draws, if it is one.
    pub const fn float(self) -> Option<DType> {
        match self {
            StoredType::F64 => Some(DType::F64),
            StoredType::F32 => Some(DType::F32),
            StoredType::F16 => Some(DType::F16),
            StoredType::BF16 => Some(DType::BF16),
            StoredType::F8_E4M3 => Some(DType::F8E4M3),
            StoredType::F8_E5M2 => Some(DType::F8E5M2),
            _ => None,
        }
    }

    /// How a drawn type is stored.
    pub fn from_float(dtype: DType) -> Self {
        match dtype {
            DType::F64 => StoredType::F64,
            DType::F16 => StoredType::F16,
            DType::BF16 => StoredType::BF16,
            DType::F8E4M3 => StoredType::F8_E4M3,
            DType::F8E5M2 => StoredType::F8_E5M2,
            _ => StoredType::F32,
        }
    }

    /// Bytes a value takes.
    pub const fn size(self) -> usize {
        match self {
            StoredType::F64 | StoredType::I64 | StoredType::U64 => 8,
            StoredType::F32 | StoredType::I32 | StoredType::U32 => 4,
            StoredType::F16 | StoredType::BF16 | StoredType::I16 | StoredType::U16 => 2,
            StoredType::F8_E4M3 | StoredType::F8_E5M2 => 1,
            StoredType::I8 | StoredType::U8 | StoredType::BOOL => 1,
        }
    }

    /// The least and greatest value of an integer type.
    pub fn integers(self) -> Option<(i128, i128)> {
        Some(match self {
            StoredType::I64 => (i64::MIN.into(), i64::MAX.into()),
            StoredType::I32 => (i32::MIN.into(), i32::MAX.into()),
            StoredType::I16 => (i16::MIN.into(), i16::MAX.into()),
            StoredType::I8 => (i8::MIN.into(), i8::MAX.into()),
            StoredType::U64 => (0, u64::MAX.into()),
            StoredType::U32 => (0, u32::MAX.into()),
            StoredType::U16 => (0, u16::MAX.into()),
            StoredType::U8 => (0, u8::MAX.into()),
            StoredType::BOOL => (0, 1),
            _ => return None,
        })
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The greatest number of bytes that the tensors of a file may have: what a file's size can be.
pub const LARGEST: u64 = i64::MAX as u64;

/// One tensor of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The parameter's name.
    pub name: String,
    /// How its values are stored.
    pub dtype: StoredType,
    /// The sizes of its axes.
    pub shape: Vec<usize>,
    /// First and last byte of its values, where the manifest is a checkpoint's header.
    pub offsets: Option<(u64, u64)>,
}

impl Entry {
    /// The number of values.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of bytes they take. What does not fit is more than [`LARGEST`] still.
    pub fn bytes(&self) -> u64 {
        (self.values() as u64).saturating_mul(self.dtype.size() as u64)
    }
}

/// Names, types and shapes of a model's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The header's `__metadata__`.
    pub metadata: Vec<(String, String)>,
    /// The tensors, in order.
    pub entries: Vec<Entry>,
}

/// An object's members in the order in which they stand, duplicates and all.
struct Members<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Members<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Members<T>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

/// A member of a header: a tensor, or the metadata.
#[derive(Deserialize)]
#[serde(untagged)]
enum Member {
    Tensor { dtype: String, shape: Vec<u64>, data_offsets: Option<(u64, u64)> },
    Metadata(std::collections::BTreeMap<String, String>),
}

impl Manifest {
    /// Reads the JSON of a safetensors header, with or without offsets. `path` is for messages.
    ///
    /// # Errors
    /// Whatever is wrong with it: no JSON, a name twice, an unknown type, a shape without a count.
    pub fn from_json(json: &str, path: &Path) -> Result<Self> {
        let members: Members<serde_json::Value> = serde_json::from_str(json)
            .map_err(|error| Error::file(path, format!("not the JSON of a safetensors header: {error}")))?;
        let mut manifest = Manifest::default();
        let mut seen = std::collections::HashSet::new();
        let mut total = 0u64;
        for (name, value) in members.0 {
            if !seen.insert(name.clone()) {
                return Err(Error::file(path, format!("the name {name:?} stands twice")));
            }
            let member = serde_json::from_value(value).map_err(|_| {
                let expected = "a tensor is an object with dtype, shape and, in a checkpoint, data_offsets";
                Error::file(path, format!("{name:?}: {expected}"))
            })?;
            match member {
                Member::Metadata(metadata) if name == "__metadata__" => {
                    manifest.metadata = metadata.into_iter().collect();
                }
                Member::Tensor { dtype, shape, data_offsets } if name != "__metadata__" => {
                    let dtype = serde_json::from_value(serde_json::Value::String(dtype.clone())).map_err(|_| {
                        let known = "F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I16, I8, U64, U32, U16, U8 and BOOL are known";
                        Error::file(path, format!("{name:?}: unknown dtype {dtype:?}: {known}"))
                    })?;
                    let sizes: Option<Vec<usize>> = shape.iter().map(|&size| size.try_into().ok()).collect();
                    let shape =
                        sizes.filter(|shape| fanin::element_count(shape).is_ok()).ok_or_else(|| {
                            Error::file(
                                path,
                                format!("{name:?}: the shape {shape:?} has more elements than fit"),
                            )
                        })?;
                    let entry = Entry { name, dtype, shape, offsets: data_offsets };
                    total = total.saturating_add(entry.bytes());
                    if total > LARGEST {
                        let message =
                            format!("{:?}: no file has as many bytes as the tensors to here", entry.name);
                        return Err(Error::file(path, message));
                    }
                    manifest.entries.push(entry);
                }
                _ => return Err(Error::file(path, format!("{name:?} is no tensor and no __metadata__"))),
            }
        }
        Ok(manifest)
    }

    /// The names, shapes and types of a file: a manifest in JSON, or a checkpoint, of which only the header is read.
    ///
    /// # Errors
    /// Whatever is wrong with the file.
    pub fn read(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "json") {
            let json = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
            return Self::from_json(&json, path);
        }
        Ok(crate::checkpoint::read::Checkpoint::open(path)?.manifest)
    }

    /// A metadata entry.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The number of values of all tensors.
    pub fn values(&self) -> u64 {
        self.entries.iter().map(|entry| entry.values() as u64).sum()
    }

    /// The number of bytes of all tensors.
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
    fn order_is_kept_and_metadata_read() {
        let json = r#"{"__metadata__": {"model": "x"}, "z": {"dtype": "F32", "shape": [2, 3]},
                       "a": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]}}"#;
        let manifest = read(json).unwrap();
        assert_eq!(manifest.metadata("model"), Some("x"));
        assert_eq!(manifest.entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!((manifest.values(), manifest.bytes()), (7, 32));
        assert_eq!(manifest.entries[1].offsets, Some((24, 32)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, needle) in [
            ("[]", "not the JSON of a safetensors header"),
            ("{", "not the JSON"),
            (
                r#"{"a": {"dtype": "F32", "shape": [1]}, "a": {"dtype": "F32", "shape": [1]}}"#,
                "\"a\" stands twice",
            ),
            (r#"{"a": {"dtype": "F31", "shape": [1]}}"#, "unknown dtype \"F31\""),
            (r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 2]}}"#, "more elements"),
            (
                r#"{"a": {"dtype": "F64", "shape": [2305843009213693952]}}"#,
                "\"a\": no file has as many bytes",
            ),
            (
                r#"{"a": {"dtype": "U8", "shape": [4611686018427387904]}, "b": {"dtype": "U8", "shape": [4611686018427387904]}}"#,
                "\"b\": no file has as many bytes",
            ),
            (r#"{"a": {"dtype": "F32", "shape": [-1]}}"#, "\"a\": a tensor is an object"),
            (r#"{"a": {"dtype": "F32"}}"#, "\"a\""),
            (r#"{"a": {"b": "c"}}"#, "\"a\" is no tensor"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(needle) && error.starts_with("m.json: "), "{json}: {error}");
        }
    }
}
