//! Classifies the tensors of a checkpoint without a recipe.

use std::collections::HashMap;

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text::short;
use fanin_recipe::{Entry, StoredType};
use serde::Serialize;

use crate::check::classify::{classify, names, schemes::schemes};
use crate::check::each_tensor::each_tensor;
use crate::check::related::{Relation, Signed, relations};
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
    /// Classifies every tensor of a checkpoint, on several threads. The values of a tensor are read once or several
    /// times. `progress` counts only the first time.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read.
    pub fn new(checkpoint: &Checkpoint, progress: &dyn Progress) -> Result<Self> {
        let entries = &checkpoint.manifest.entries;
        let all = vec![(); entries.len()];
        let classified = each_tensor(checkpoint, all, |tensor, ()| classify(checkpoint, tensor, progress))?;
        let tensors = entries.iter().cloned().zip(classified);
        let tensors = tensors.map(|(entry, classification)| AuditedTensor { entry, classification });
        let mut audit = Self { tensors: tensors.collect() };
        audit.tensors.iter_mut().for_each(AuditedTensor::use_name);
        audit.compare_tensors();
        Ok(audit)
    }

    /// Adds a message to each tensor whose values are equal to those of an earlier tensor, or related to them.
    fn compare_tensors(&mut self) {
        // The keys are a hash of the values and the number of values. The value is the index of the last tensor with
        // both.
        let mut by_hash: HashMap<(u64, usize), usize> = HashMap::new();
        let (mut signed, mut owners) = (Vec::new(), Vec::new());
        for tensor in 0..self.tensors.len() {
            let AuditedTensor { entry, classification } = &mut self.tensors[tensor];
            let (kind, values, hash) = (classification.kind, entry.values(), classification.hash);
            let name = entry.name.clone();
            // Equal values in two tensors are a problem only if the values are random or trained. Constant and computed
            // values may be equal.
            let random = matches!(kind, Kind::Other | Kind::TooFew) || kind.is_fresh();
            if random
                && values > 3
                && let Some(twin) = by_hash.insert((hash, values), tensor)
            {
                self.report_twin(twin, tensor);
            } else if let Some(signature) = classification.signature.take().filter(|_| random) {
                signed.push(Signed { name, values, hash, signature });
                owners.push(tensor);
            }
        }
        for Relation { first, second, result } in relations(&signed) {
            if result.p_value < 1e-9 {
                let fresh = |index: usize| self.tensors[owners[index]].classification.kind.is_fresh();
                let both_fresh = fresh(first) && fresh(second);
                let classification = &mut self.tensors[owners[second]].classification;
                // Layers of a trained model may be related, for example if one was copied and both were trained
                // further.
                let messages =
                    if both_fresh { &mut classification.problems } else { &mut classification.notes };
                messages.push(result.text);
            }
        }
    }

    /// Adds a message to the tensor at index `tensor`. Its values are equal to those of the tensor at index `twin`.
    fn report_twin(&mut self, twin: usize, tensor: usize) {
        let twin = self.tensors[twin].entry.name.clone();
        let AuditedTensor { entry, classification } = &mut self.tensors[tensor];
        if names::can_be_tied(&twin, &entry.name) {
            classification
                .notes
                .push(format!("has the values of {twin}: tied weights that are stored twice?"));
        } else {
            classification.problems.push(format!("has exactly the same values as {twin}"));
        }
    }

    /// Returns the number of tensors whose classification `matches`.
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
    /// Sets the kind of a normal vector to [`Kind::Other`] if its name is that of a bias or of the weight of a
    /// normalization layer. Initializers set such weights to 1 or 0, and biases to a constant or to uniform values.
    fn use_name(&mut self) {
        let Self { entry, classification } = self;
        let normal = matches!(classification.kind, Kind::Fresh(Univariate::Normal { .. }));
        if normal && names::is_never_normal(&entry.name, &entry.shape) {
            classification.description = Some(classification.kind.description());
            classification.kind = Kind::Other;
            classification
                .notes
                .push("no known initializer draws a bias or a norm's weight as a normal".to_owned());
        }
    }

    fn report(&self) -> TensorReport<'_> {
        let Self { entry, classification } = self;
        TensorReport {
            name: &entry.name,
            dtype: entry.dtype,
            shape: &entry.shape,
            kind: self.kind(),
            distribution: self.distribution(),
            schemes: self.schemes(),
            problems: &classification.problems,
            notes: &classification.notes,
            mean: classification.mean,
            std: classification.std,
            zeros: classification.zeros,
        }
    }

    /// Returns the name of the kind. The values of a vector, of a matrix with a side below 12, and of a tensor with
    /// fewer than 4096 values are too few to show a short training. If such a tensor is fresh, its kind is `compatible
    /// with fresh`.
    pub fn kind(&self) -> &'static str {
        const MIN_SIDE: usize = 12;
        const MIN_VALUES: usize = 4096;
        let columns: usize = self.entry.shape.iter().skip(1).product();
        let rows = self.entry.shape.first().copied().unwrap_or(1);
        let telling = rows.min(columns) >= MIN_SIDE && self.entry.values() >= MIN_VALUES;
        match self.classification.kind {
            Kind::Fresh(_) if !telling => "compatible with fresh",
            kind => kind.name(),
        }
    }

    /// Returns a description of the values: the spec of the fitted distribution, the value of a constant, or how the
    /// values were computed. The text is empty for other kinds of tensors.
    pub fn distribution(&self) -> String {
        let Classification { kind, zero_rows, .. } = &self.classification;
        let distribution = self.classification.description.clone().unwrap_or_else(|| kind.description());
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

    /// Returns the schemes that explain the fitted distribution for the tensor's shape. The most likely scheme comes
    /// first. The list is empty unless the kind is [`Kind::Fresh`].
    pub fn schemes(&self) -> Vec<String> {
        let entry = &self.entry;
        match (&self.classification.kind, entry.dtype.float()) {
            (Kind::Fresh(distribution), Some(dtype)) => {
                schemes(distribution, &entry.shape, entry.values() as u64, dtype, self.sparsity())
            }
            _ => Vec::new(),
        }
    }

    /// Returns the fraction of values that are zeros. Zeros in rows that are all zeros are not counted. Returns `None`
    /// if the fraction is 0.1 % or less.
    fn sparsity(&self) -> Option<f64> {
        let Classification { zeros, zero_rows, .. } = self.classification;
        let rows = self.entry.shape.first().copied().unwrap_or(1).max(1);
        let width = self.entry.values() / rows;
        let scattered = zeros.unwrap_or(0).saturating_sub((zero_rows * width) as u64);
        let fraction = scattered as f64 / self.entry.values() as f64;
        (fraction > 1e-3).then_some(fraction)
    }
}
