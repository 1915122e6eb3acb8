//! Classification of a checkpoint's tensors, without a recipe.

use std::collections::HashMap;

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text::short;
use fanin_recipe::{Entry, StoredType};
use serde::Serialize;

use crate::check::classify::{classify, schemes::schemes};
use crate::check::{Classification, Kind, Univariate};
use crate::error::Result;

/// The classification of every tensor of a checkpoint.
#[derive(Debug)]
pub struct Audit {
    /// The tensors, in the order of the checkpoint.
    pub tensors: Vec<AuditedTensor>,
}

/// A classified tensor.
#[derive(Debug)]
pub struct AuditedTensor {
    /// The tensor's name, type and shape.
    pub entry: Entry,
    /// The result of classifying the tensor's values.
    pub classification: Classification,
}

/// An audit as JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    file: &'a str,
    /// Whether no tensor has problems.
    good: bool,
    tensors: Vec<TensorReport<'a>>,
}

#[derive(Debug, Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    dtype: StoredType,
    shape: &'a [usize],
    kind: &'static str,
    distribution: String,
    schemes: Vec<String>,
    problems: &'a [String],
    notes: &'a [String],
    mean: Option<f64>,
    std: Option<f64>,
    zeros: Option<u64>,
}

impl Audit {
    /// Classifies every tensor of a checkpoint. The values of a tensor are read one or more times, and `progress`
    /// counts only the first time.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read.
    pub fn new(checkpoint: &Checkpoint, progress: &dyn Progress) -> Result<Self> {
        let entries = &checkpoint.manifest.entries;
        let mut tensors: Vec<AuditedTensor> = Vec::new();
        // Maps a hash of values and the number of values to the index of the last tensor that has both.
        let mut by_hash: HashMap<(u64, usize), usize> = HashMap::new();
        for (tensor, entry) in entries.iter().enumerate() {
            let mut classification = classify(checkpoint, tensor, progress)?;
            // Equal values in two tensors are a problem only if the values are random or trained. Constant and computed
            // values may be equal.
            let distinct =
                matches!(classification.kind, Kind::Other | Kind::TooFew) || classification.kind.is_fresh();
            if distinct
                && entry.values() > 3
                && let Some(twin) = by_hash.insert((classification.hash, entry.values()), tensor)
            {
                classification
                    .problems
                    .push(format!("has exactly the same values as {}", entries[twin].name));
            }
            tensors.push(AuditedTensor { entry: entry.clone(), classification });
        }
        Ok(Self { tensors })
    }

    fn count(&self, matches: impl Fn(&Classification) -> bool) -> usize {
        self.tensors.iter().filter(|tensor| matches(&tensor.classification)).count()
    }

    /// Returns the number of tensors with problems.
    pub fn wrong(&self) -> usize {
        self.count(|classification| !classification.problems.is_empty())
    }

    /// Returns the number of tensors that look freshly initialized.
    pub fn fresh(&self) -> usize {
        self.count(|classification| classification.kind.is_fresh())
    }

    /// Returns the number of tensors that look trained, or follow no known distribution.
    pub fn other(&self) -> usize {
        self.count(|classification| classification.kind == Kind::Other)
    }

    /// Returns a report of the audit, which serializes to JSON. `file` is the name of the checkpoint.
    pub fn report<'a>(&'a self, file: &'a str) -> Report<'a> {
        let tensors = self.tensors.iter().map(AuditedTensor::report).collect();
        Report { file, good: self.wrong() == 0, tensors }
    }
}

impl AuditedTensor {
    fn report(&self) -> TensorReport<'_> {
        let Self { entry, classification } = self;
        TensorReport {
            name: &entry.name,
            dtype: entry.dtype,
            shape: &entry.shape,
            kind: classification.kind.name(),
            distribution: self.distribution(),
            schemes: self.schemes(),
            problems: &classification.problems,
            notes: &classification.notes,
            mean: classification.mean,
            std: classification.std,
            zeros: classification.zeros,
        }
    }

    /// Returns a description of the values: the spec of the distribution that fits them, the value of a constant, or
    /// how the values were computed. The text is empty for other kinds of tensors.
    pub fn distribution(&self) -> String {
        let Classification { kind, zero_rows, .. } = &self.classification;
        let distribution = spec(kind);
        match (kind, self.sparsity()) {
            (Kind::Fresh(normal @ Univariate::Normal { mean, std, .. }), Some(sparsity))
                if normal.is_normal() && *mean == 0.0 =>
            {
                format!("sparse(sparsity={sparsity:.2}, std={})", short(*std))
            }
            (Kind::Fresh(_), Some(sparsity)) => format!("{distribution}, {:.1} % zeros", sparsity * 100.0),
            (Kind::Fresh(_), None) if *zero_rows == 1 => format!("{distribution}, one row of zeros"),
            _ => distribution,
        }
    }

    /// Returns the schemes that give the fitted distribution for the tensor's shape, in descending order of likelihood.
    /// The list is empty unless the kind is [`Kind::Fresh`].
    pub fn schemes(&self) -> Vec<String> {
        let entry = &self.entry;
        match (&self.classification.kind, entry.dtype.float()) {
            (Kind::Fresh(distribution), Some(dtype)) => {
                schemes(distribution, &entry.shape, entry.values() as u64, dtype, self.sparsity())
            }
            _ => Vec::new(),
        }
    }

    /// Returns the fraction of all values that are zeros outside of all-zero rows. Returns `None` if the fraction is
    /// 0.1 % or less.
    fn sparsity(&self) -> Option<f64> {
        let Classification { zeros, zero_rows, .. } = self.classification;
        let rows = self.entry.shape.first().copied().unwrap_or(1).max(1);
        let width = self.entry.values() / rows;
        let scattered = zeros.unwrap_or(0).saturating_sub((zero_rows * width) as u64);
        let fraction = scattered as f64 / self.entry.values() as f64;
        (fraction > 1e-3).then_some(fraction)
    }
}

/// Returns the description of values of a kind. [`AuditedTensor::distribution`] adds a remark on zeros to it. The text
/// is empty for kinds without a description.
fn spec(kind: &Kind) -> String {
    match kind {
        Kind::Table(description) => (*description).to_owned(),
        Kind::Constant(value) => short(*value),
        Kind::Orthogonal(gain) => format!("orthogonal(gain={})", short(*gain)),
        Kind::Fresh(Univariate::Uniform { low, high }) => {
            format!("uniform(a={}, b={})", short(*low), short(*high))
        }
        Kind::Fresh(normal @ Univariate::Normal { mean, std, .. }) if normal.is_normal() => {
            let mean = if *mean == 0.0 { String::new() } else { format!("mean={}, ", short(*mean)) };
            format!("normal({mean}std={})", short(*std))
        }
        Kind::Fresh(Univariate::Normal { std, low, high, .. }) => {
            format!("trunc_normal(std={}, a={}, b={})", short(*std), short(*low), short(*high))
        }
        _ => String::new(),
    }
}
