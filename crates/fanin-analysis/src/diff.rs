//! Compares two checkpoints tensor by tensor.

use std::collections::{HashMap, HashSet};

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::{Entry, text};
use serde::Serialize;

use crate::check::ValueDifference;
use crate::error::Result;

/// The differences between two checkpoints.
#[derive(Debug)]
pub struct Diff {
    /// The tensors that differ, in the order of the first checkpoint. Tensors that are only in the second checkpoint
    /// come last.
    pub differences: Vec<TensorDifference>,
    /// The number of tensors that are bitwise equal in both checkpoints.
    pub identical: u64,
}

/// A tensor that differs between two checkpoints.
#[derive(Debug)]
pub struct TensorDifference {
    /// What differs: `added`, `removed`, `reshaped`, `retyped`, `reshaped, retyped` or `changed`.
    pub change: &'static str,
    /// The tensor's name.
    pub name: String,
    /// The tensor's type and shape as text, such as `F32 64 x 3`. If the type or the shape differs between the
    /// checkpoints, the text is `FIRST -> SECOND`.
    pub type_and_shape: String,
    /// Whether the values can be read as numbers. If false, only bytes are compared.
    pub examined: bool,
    /// How the values of the tensor differ. `None` unless `change` is `changed`.
    pub values: Option<ValueDifference>,
}

/// The differences between two checkpoints as JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// Whether all tensors are equal in both checkpoints.
    same: bool,
    identical: u64,
    tensors: Vec<TensorReport<'a>>,
}

#[derive(Debug, Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    what: &'static str,
    kind: &'a str,
    examined: bool,
    values_changed: Option<u64>,
    max: Option<f64>,
    relative: Option<f64>,
    cosine: Option<f64>,
}

fn type_and_shape(entry: &Entry) -> String {
    format!("{} {}", entry.dtype, text::shape(&entry.shape))
}

impl TensorDifference {
    /// Returns a difference whose `values` are `None`. `entry` is the tensor's entry in one of the checkpoints.
    fn new(change: &'static str, entry: &Entry) -> Self {
        Self {
            change,
            name: entry.name.clone(),
            type_and_shape: type_and_shape(entry),
            examined: entry.dtype.is_read(),
            values: None,
        }
    }

    /// Compares the types and shapes of two tensors of the same name. Returns `None` if both are equal.
    fn of_entries(a: &Entry, b: &Entry) -> Option<Self> {
        let change = match (a.shape == b.shape, a.dtype == b.dtype) {
            (true, true) => return None,
            (true, false) => "retyped",
            (false, true) => "reshaped",
            (false, false) => "reshaped, retyped",
        };
        let both = format!("{} -> {}", type_and_shape(a), type_and_shape(b));
        Some(Self { type_and_shape: both, ..Self::new(change, a) })
    }

    fn report(&self) -> TensorReport<'_> {
        let values = self.values.as_ref().filter(|_| self.examined);
        TensorReport {
            name: &self.name,
            what: self.change,
            kind: &self.type_and_shape,
            examined: self.examined,
            values_changed: values.map(|values| values.values),
            max: values.map(|values| values.max),
            relative: values.map(ValueDifference::relative),
            cosine: values.map(ValueDifference::cosine),
        }
    }
}

impl Diff {
    /// Compares two checkpoints tensor by tensor. The metadata, the order of the tensors and their division into files
    /// are not compared.
    ///
    /// # Errors
    /// Returns an error if one of the checkpoints cannot be read.
    pub fn new(a: &Checkpoint, b: &Checkpoint, progress: &dyn Progress) -> Result<Self> {
        let (a_entries, b_entries) = (&a.manifest.entries, &b.manifest.entries);
        let (mut differences, mut identical) = (Vec::new(), 0);
        let b_tensors: HashMap<&str, usize> =
            b_entries.iter().enumerate().map(|(tensor, entry)| (entry.name.as_str(), tensor)).collect();
        for (tensor, entry) in a_entries.iter().enumerate() {
            let Some(&other) = b_tensors.get(entry.name.as_str()) else {
                differences.push(TensorDifference::new("removed", entry));
                continue;
            };
            if let Some(difference) = TensorDifference::of_entries(entry, &b_entries[other]) {
                differences.push(difference);
                continue;
            }
            let report = |bytes: u64| progress.add(bytes * 8 / entry.dtype.bits() as u64, bytes);
            match ValueDifference::new([a, b], [tensor, other], report)? {
                None => identical += 1,
                values => {
                    differences.push(TensorDifference { values, ..TensorDifference::new("changed", entry) });
                }
            }
        }
        let a_names: HashSet<&str> = a_entries.iter().map(|entry| entry.name.as_str()).collect();
        let added = b_entries.iter().filter(|entry| !a_names.contains(entry.name.as_str()));
        differences.extend(added.map(|entry| TensorDifference::new("added", entry)));
        Ok(Self { differences, identical })
    }

    /// Returns whether all tensors are equal in both checkpoints.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    /// Returns the differences as a report that serializes to JSON.
    pub fn report(&self) -> Report<'_> {
        let tensors = self.differences.iter().map(TensorDifference::report).collect();
        Report { same: self.is_same(), identical: self.identical, tensors }
    }
}
