//! How two checkpoints differ.

use std::collections::{HashMap, HashSet};

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::{Entry, text};
use serde_json::{Value, json};

use crate::check::compare::Change;
use crate::error::Result;

/// The differences between two checkpoints.
#[derive(Debug)]
pub struct Diff {
    /// The tensors that differ, in the order of the first checkpoint; then those that only the second has.
    pub differences: Vec<Difference>,
    /// The number of tensors that are identical.
    pub identical: u64,
}

/// A tensor that differs.
#[derive(Debug)]
pub struct Difference {
    /// How: `added`, `removed`, `reshaped`, `retyped`, both, or `changed`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Its type and shape; both where they differ.
    pub kind: String,
    /// Whether its values are read as numbers.
    pub examined: bool,
    /// How its values differ, where types and shapes agree.
    pub change: Option<Change>,
}

impl Difference {
    fn new(what: &'static str, entry: &Entry, kind: String, change: Option<Change>) -> Self {
        Self { what, name: entry.name.clone(), kind, examined: entry.dtype.is_read(), change }
    }
}

impl Diff {
    /// Compares two checkpoints, tensor by tensor. Metadata, order and sharding do not matter.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn new(a: &Checkpoint, b: &Checkpoint, progress: &dyn Progress) -> Result<Self> {
        let (left, right) = (&a.manifest.entries, &b.manifest.entries);
        let (mut differences, mut identical) = (Vec::new(), 0);
        let numbers: HashMap<&str, usize> =
            right.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
        let known: HashSet<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
        let kind = |entry: &Entry| format!("{} {}", entry.dtype, text::shape(&entry.shape));
        for (number, entry) in left.iter().enumerate() {
            let Some(&other_number) = numbers.get(entry.name.as_str()) else {
                differences.push(Difference::new("removed", entry, kind(entry), None));
                continue;
            };
            let other = &right[other_number];
            if entry.shape != other.shape || entry.dtype != other.dtype {
                let what = match (entry.shape == other.shape, entry.dtype == other.dtype) {
                    (true, _) => "retyped",
                    (false, true) => "reshaped",
                    (false, false) => "reshaped, retyped",
                };
                let kinds = format!("{} -> {}", kind(entry), kind(other));
                differences.push(Difference::new(what, entry, kinds, None));
                continue;
            }
            let seen = |bytes: u64| progress.add(bytes * 8 / entry.dtype.bits() as u64, bytes);
            match Change::of([a, b], [number, other_number], seen)? {
                Some(change) => {
                    differences.push(Difference::new("changed", entry, kind(entry), Some(change)));
                }
                None => identical += 1,
            }
        }
        for entry in right.iter().filter(|entry| !known.contains(entry.name.as_str())) {
            differences.push(Difference::new("added", entry, kind(entry), None));
        }
        Ok(Self { differences, identical })
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        let tensors: Vec<Value> = self
            .differences
            .iter()
            .map(|Difference { what, name, kind, examined, change }| {
                let change = change.as_ref().filter(|_| *examined);
                json!({
                    "name": name, "what": what, "kind": kind, "examined": examined,
                    "values_changed": change.map(|change| change.values),
                    "max": change.map(|change| change.max),
                    "relative": change.map(Change::relative),
                    "cosine": change.map(Change::cosine),
                })
            })
            .collect();
        json!({ "same": self.is_same(), "identical": self.identical, "tensors": tensors })
    }
}
