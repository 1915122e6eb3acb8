//! Classifies the tensors of a checkpoint. No recipe is needed. A tensor is called fresh if its values are still as an
//! initializer drew them.

use std::collections::HashMap;

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text::short;
use fanin_recipe::{Entry, StoredType};
use serde::Serialize;

use crate::check::classify::{classify, names, schemes::schemes};
use crate::check::each_tensor::each_tensor;
use crate::check::related::{Relation, Signed, relations};
use crate::check::seeds::{self, Candidate, TorchDraw};
use crate::check::tensor_view::matrix;
use crate::check::trained_vector::is_trained_vector;
use crate::check::{Classification, Kind, Univariate, grid};
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
    ok: bool,
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
    /// times. `progress` counts only the first read.
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
        audit.find_seeds(checkpoint)?;
        audit.use_trained_vectors();
        audit.compare_tensors();
        Ok(audit)
    }

    /// Finds tensors with the values that torch draws after `manual_seed` with a common seed, such as 0 or 42.
    fn find_seeds(&mut self, checkpoint: &Checkpoint) -> Result {
        let tensors = self.tensors.iter().enumerate();
        let candidates: Vec<Candidate> = tensors.filter_map(|(n, tensor)| tensor.seed_candidate(n)).collect();
        let values = self.tensors.iter().map(|tensor| tensor.entry.values()).sum();
        let draws = seeds::find(checkpoint, &candidates, values)?;
        for (candidate, draw) in candidates.iter().zip(draws) {
            if let Some(draw) = draw {
                self.tensors[candidate.tensor].use_draw(draw);
            }
        }
        Ok(())
    }

    /// Sets the kind of an f32 weight to [`Kind::Other`] if the weight was probably trained. Only weights that are
    /// "compatible with fresh" are tested. A weight was probably trained if the bias of its layer was trained, or if
    /// most biases and norms of the checkpoint were trained.
    ///
    /// A weight that torch's CPU generator initialized again after the training keeps its kind. Its f32 values are
    /// recognized as an unchanged draw, so it is called `fresh` instead of "compatible with fresh".
    fn use_trained_vectors(&mut self) {
        let names = self.tensors.iter().enumerate().map(|(n, tensor)| (tensor.entry.name.as_str(), n));
        let numbers: HashMap<&str, usize> = names.collect();
        let same_layer = |name: &str, last: &str| {
            let (layer, _) = name.rsplit_once('.')?;
            numbers.get(format!("{layer}.{last}").as_str()).map(|&number| &self.tensors[number])
        };
        let is_trained = |AuditedTensor { entry, classification }: &AuditedTensor| {
            let weight = same_layer(&entry.name, "weight").filter(|weight| weight.entry.shape.len() > 1);
            let fan_in = weight.map(|weight| matrix(&weight.entry.shape).1.max(1));
            is_trained_vector(classification, entry.values(), fan_in)
        };
        let vectors = self.tensors.iter().filter(|tensor| {
            names::is_never_normal(&tensor.entry.name, &tensor.entry.shape)
                && !matches!(tensor.classification.kind, Kind::TooFew | Kind::Empty)
        });
        let trained: Vec<bool> = vectors.map(is_trained).collect();
        let count = trained.iter().filter(|trained| **trained).count();
        let is_model_trained = count >= 3 && 2 * count > trained.len();
        let reason = |weight: &AuditedTensor| {
            let name = weight.entry.name.as_str();
            let bias = if name.ends_with(".weight") { same_layer(name, "bias") } else { None };
            let is_constant = bias.is_some_and(|bias| matches!(bias.classification.kind, Kind::Constant(_)));
            match bias {
                _ if !weight.is_undecided() => None,
                Some(bias) if is_trained(bias) => Some("the bias of the layer was"),
                // A layer that was added to a trained model may be fresh. Its bias is constant, usually 0. An adapter
                // has no bias.
                _ if is_constant || names::is_adapter(name) => None,
                _ => is_model_trained.then_some("most biases and norms of the checkpoint were"),
            }
        };
        let reasons: Vec<Option<&str>> = self.tensors.iter().map(reason).collect();
        for (tensor, reason) in self.tensors.iter_mut().zip(reasons) {
            if let Some(what) = reason {
                tensor.classification.set_not_fresh(format!(
                    "neither torch's CPU generator nor the native stream draws these f32 values, and {what} trained"
                ));
            }
        }
    }

    /// Compares the tensors with one another. Adds a message to each tensor whose values are equal or related (for
    /// example, by a factor) to the values of an earlier tensor.
    fn compare_tensors(&mut self) {
        // The index of the last tensor with this hash and this number of values.
        let mut by_hash: HashMap<(u64, usize), usize> = HashMap::new();
        let (mut signed, mut owners) = (Vec::new(), Vec::new());
        for tensor in 0..self.tensors.len() {
            let AuditedTensor { entry, classification } = &mut self.tensors[tensor];
            let (kind, values, hash) = (classification.kind, entry.values(), classification.hash);
            let name = entry.name.clone();
            // Equal values in two tensors are a problem only if the values are random or trained. Constants, and values
            // that follow a formula, may be equal in two tensors.
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

    /// Adds a message to the tensor at index `tensor`: its values are those of the tensor at index `twin`.
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

    /// Returns the number of tensors for whose classification `matches` returns true.
    fn count(&self, matches: impl Fn(&Classification) -> bool) -> usize {
        self.tensors.iter().filter(|tensor| matches(&tensor.classification)).count()
    }

    /// Returns the number of tensors with problems.
    pub fn failed(&self) -> usize {
        self.count(|classification| !classification.problems.is_empty())
    }

    /// Returns the number of tensors that are fresh, or compatible with a fresh initialization.
    pub fn fresh(&self) -> usize {
        self.count(|classification| classification.kind.is_fresh())
    }

    /// Returns the number of tensors that are compatible with a fresh initialization, but may have been trained a
    /// little.
    pub fn compatible(&self) -> usize {
        let tensors = self.tensors.iter();
        tensors.filter(|tensor| tensor.classification.kind.is_fresh() && !tensor.is_surely_fresh()).count()
    }

    /// Returns the number of tensors that look trained, or follow no known distribution.
    pub fn other(&self) -> usize {
        self.count(|classification| classification.kind == Kind::Other)
    }

    /// Returns the audit as a report that serializes to JSON. `file` is the name of the checkpoint.
    pub fn report<'a>(&'a self, file: &'a str) -> Report<'a> {
        let tensors = self.tensors.iter().map(AuditedTensor::report).collect();
        Report { file, ok: self.failed() == 0, tensors }
    }
}

impl AuditedTensor {
    /// Sets the kind of a vector of normal values to [`Kind::Other`] if its name is that of a bias or of a
    /// normalization layer's weight. Almost no known initializer draws such a vector from a normal distribution. The
    /// kind does not change in two cases:
    /// - The standard deviation is about 1e-6. The vision transformers of Flax and timm have such biases.
    /// - The values are an unchanged draw of a known generator.
    fn use_name(&mut self) {
        let Self { entry, classification } = self;
        let Kind::Fresh(Univariate::Normal { std, .. }) = classification.kind else { return };
        let known = classification.unchanged || (5e-7..2e-6).contains(&std);
        if !known && names::is_never_normal(&entry.name, &entry.shape) {
            let reason = "no known initializer draws a bias or a norm's weight as a normal";
            classification.set_not_fresh(reason.to_owned());
        }
    }

    /// Returns this tensor as a candidate for `find_seeds`. `tensor` is its index in the manifest. Returns `None` if
    /// the generator is already known, or if the search does not cover the tensor. The search covers f32, f16 and bf16
    /// tensors of at least two axes that are fresh, with a uniform or normal distribution around 0.
    fn seed_candidate(&self, tensor: usize) -> Option<Candidate> {
        let Self { entry, classification } = self;
        let Kind::Fresh(distribution) = classification.kind else { return None };
        let known = match distribution {
            Univariate::Uniform { low, high } => low == -high,
            Univariate::Normal { mean, .. } => mean == 0.0 && distribution.is_normal(),
        };
        let dtype = entry.dtype.float().filter(|dtype| (2..=4).contains(&dtype.size()))?;
        let searched = known && entry.shape.len() >= 2 && !classification.unchanged;
        // The summand 5e-7 allows for a second rounding: the f32 values may have been multiplied by a factor after the
        // draw.
        let rounding = 0.5 * grid::epsilon(dtype) + 5e-7;
        searched.then_some(Candidate { tensor, distribution, rounding })
    }

    /// Updates the classification of a tensor whose values torch drew, and adds a note. The update depends on the
    /// fraction of values that were changed after the draw:
    /// - Below 1 %: the tensor counts as an unchanged draw, and is called `fresh`.
    /// - Above 50 %: sets the kind to [`Kind::Other`].
    /// - Otherwise: only adds the note.
    fn use_draw(&mut self, TorchDraw { seed, word, change }: TorchDraw) {
        let classification = &mut self.classification;
        let source = format!("torch draws after manual_seed({seed}) and {word} random words");
        if change.fraction < 0.01 {
            classification.unchanged = true;
            classification.notes.push(format!("has the values that {source}"));
        } else if change.fraction > 0.5 {
            let percent = short(100.0 * change.size);
            classification.set_not_fresh(format!(
                "has the values that {source}, changed by {percent} %, probably by training"
            ));
        } else {
            let percent = short(100.0 * change.fraction);
            classification
                .notes
                .push(format!("has the values that {source}, except for {percent} % of them"));
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

    /// Returns the name of the kind: [`Kind::name`], except for some tensors of the kinds [`Kind::Fresh`] and
    /// [`Kind::Blocks`]. Tensors of these two kinds are called `fresh` in three cases:
    /// - The values are an unchanged draw of a known generator.
    /// - The tensor consists of blocks. Each block is such a draw, an orthogonal matrix, or constant.
    /// - The values form a matrix of at least 2^20 independent values, with at least 12 rows and 12 columns. Training
    ///   nearly always makes that many values dependent.
    ///
    /// All other tensors of these two kinds are called `compatible with fresh`: they may have been trained a little.
    pub fn kind(&self) -> &'static str {
        match self.classification.kind {
            kind if kind.is_fresh() && !self.is_surely_fresh() => "compatible with fresh",
            kind => kind.name(),
        }
    }

    /// Returns whether this is an f32 tensor of at least two axes that is "compatible with fresh".
    fn is_undecided(&self) -> bool {
        let kind = self.classification.kind;
        let random = matches!(kind, Kind::Fresh(_) | Kind::Blocks { .. }) && self.entry.shape.len() > 1;
        random && self.entry.dtype == StoredType::F32 && !self.is_surely_fresh()
    }

    /// Returns whether the values are fresh beyond doubt.
    fn is_surely_fresh(&self) -> bool {
        const MIN_SIDE: usize = 12;
        const MIN_VALUES: usize = 1 << 20;
        let (rows, columns) = matrix(&self.entry.shape);
        let many = rows.min(columns) >= MIN_SIDE && self.entry.values() >= MIN_VALUES;
        self.classification.unchanged || many || matches!(self.classification.kind, Kind::Orthogonal(_))
    }

    /// Returns a description of the values: the spec of the fitted distribution (`normal(std=0.02)`), the value of a
    /// constant (`1`), or the pattern of the values (`sines and cosines`). The text is empty for tensors of other
    /// kinds.
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

    /// Returns the schemes that give a tensor of this shape the fitted distribution. The most likely scheme comes
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
