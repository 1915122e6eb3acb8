//! What the tensors of a checkpoint look like, without a recipe.

use std::collections::HashMap;

use fanin_checkpoint::{Checkpoint, Progress};
use fanin_recipe::text as numbers;
use fanin_recipe::{Entry, Manifest};
use serde_json::{Value, json};

use crate::check::classify::{self, Classification, Kind};
use crate::check::distribution::Draw;
use crate::error::Result;

/// What was found of every tensor.
#[derive(Debug)]
pub struct Audit {
    /// The tensors of the checkpoint, in its order.
    pub tensors: Vec<AuditedTensor>,
}

/// What was found of one tensor.
#[derive(Debug)]
pub struct AuditedTensor {
    /// Its name, type and shape.
    pub entry: Entry,
    /// What it looks like.
    pub classification: Classification,
}

impl Audit {
    /// Looks at every tensor of a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint cannot be read.
    pub fn new(checkpoint: &Checkpoint, progress: &dyn Progress) -> Result<Self> {
        let Manifest { entries, .. } = &checkpoint.manifest;
        let mut tensors: Vec<AuditedTensor> = Vec::new();
        let mut same: HashMap<(u64, usize), usize> = HashMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let size = entry.dtype.size() as u64;
            let mut classification =
                classify::of(checkpoint, number, |values| progress.add(values as u64, values as u64 * size))?;
            // Constants are alike everywhere.
            if matches!(classification.look, Kind::Fresh(_) | Kind::Orthogonal(_) | Kind::Other | Kind::Few)
                && entry.values() > 3
                && let Some(twin) = same.insert((classification.hash, entry.values()), number)
            {
                classification.problems.push(format!("the very values of {}", entries[twin].name));
            }
            tensors.push(AuditedTensor { entry: entry.clone(), classification });
        }
        Ok(Self { tensors })
    }

    /// The number of tensors with problems.
    pub fn wrong(&self) -> usize {
        self.tensors.iter().filter(|tensor| !tensor.classification.problems.is_empty()).count()
    }

    /// The number of tensors that look freshly drawn.
    pub fn fresh(&self) -> usize {
        let fresh = |tensor: &&AuditedTensor| {
            matches!(tensor.classification.look, Kind::Fresh(_) | Kind::Orthogonal(_))
        };
        self.tensors.iter().filter(fresh).count()
    }

    /// The number of tensors that look trained, or like no known distribution.
    pub fn other(&self) -> usize {
        self.tensors.iter().filter(|tensor| tensor.classification.look == Kind::Other).count()
    }

    /// The result as JSON; `file` is the checkpoint's name.
    pub fn to_json(&self, file: &str) -> Value {
        let tensors: Vec<Value> = self
            .tensors
            .iter()
            .map(|tensor| {
                let AuditedTensor { entry, classification } = tensor;
                json!({
                    "name": entry.name, "dtype": entry.dtype, "shape": entry.shape, "look": tensor.kind(),
                    "distribution": tensor.distribution(), "schemes": tensor.schemes(),
                    "problems": classification.problems, "notes": classification.notes,
                    "mean": classification.mean, "std": classification.std, "zeros": classification.zeros,
                })
            })
            .collect();
        json!({ "file": file, "good": self.wrong() == 0, "tensors": tensors })
    }
}

impl AuditedTensor {
    /// What it looks like, in a word or two.
    pub fn kind(&self) -> &'static str {
        kind(&self.classification.look)
    }

    /// The distribution that fits it, as a spec where there is one; empty where none fits.
    pub fn distribution(&self) -> String {
        distribution(&self.entry, &self.classification)
    }

    /// The schemes that give this distribution on this shape, the likeliest first.
    pub fn schemes(&self) -> Vec<String> {
        schemes(&self.entry, &self.classification)
    }
}

/// The look in a word or two.
fn kind(look: &Kind) -> &'static str {
    match look {
        Kind::Empty => "empty",
        Kind::Integers => "integers",
        Kind::Unread => "not examined",
        Kind::Constant(_) => "one value",
        Kind::ZerosAndOnes => "zeros and ones",
        Kind::Few => "too few to tell",
        Kind::Fresh(_) => "fresh",
        Kind::Orthogonal(_) => "orthogonal",
        Kind::Table(_) => "a table",
        Kind::Other => "trained or other",
        Kind::Garbage => "uninitialized",
    }
}

/// The part that is zero, if zeros are scattered over the tensor; rows of them are not.
fn sparse(entry: &Entry, classification: &Classification) -> Option<f64> {
    let width: usize = entry.shape.iter().skip(1).product();
    let scattered = classification.zeros.saturating_sub((classification.empty_rows * width) as u64);
    let part = scattered as f64 / entry.values() as f64;
    (part > 1e-3).then_some(part)
}

fn distribution(entry: &Entry, classification: &Classification) -> String {
    let short = numbers::short;
    let distribution = distribution_alone(&classification.look);
    match (&classification.look, sparse(entry, classification)) {
        (Kind::Fresh(draw @ Draw::Normal { mean, std, .. }), Some(part))
            if draw.is_normal() && *mean == 0.0 =>
        {
            format!("sparse(sparsity={part:.2}, std={})", short(*std))
        }
        (Kind::Fresh(_), Some(part)) => format!("{distribution}, {:.1} % zeros", part * 100.0),
        (Kind::Fresh(_), None) if classification.empty_rows == 1 => format!("{distribution}, a row of zeros"),
        _ => distribution,
    }
}

fn distribution_alone(look: &Kind) -> String {
    let short = numbers::short;
    match look {
        Kind::Table(what) => (*what).to_owned(),
        Kind::Constant(value) => short(*value),
        Kind::Orthogonal(gain) => format!("orthogonal(gain={})", short(*gain)),
        Kind::Fresh(Draw::Uniform { low, high }) => format!("uniform(a={}, b={})", short(*low), short(*high)),
        Kind::Fresh(draw @ Draw::Normal { mean, std, .. }) if draw.is_normal() => {
            let mean = if *mean == 0.0 { String::new() } else { format!("mean={}, ", short(*mean)) };
            format!("normal({mean}std={})", short(*std))
        }
        Kind::Fresh(Draw::Normal { std, low, high, .. }) => {
            format!("trunc_normal(std={}, a={}, b={})", short(*std), short(*low), short(*high))
        }
        _ => String::new(),
    }
}

fn schemes(entry: &Entry, classification: &Classification) -> Vec<String> {
    match (&classification.look, entry.dtype.float()) {
        (Kind::Fresh(draw), Some(dtype)) => {
            classify::schemes(draw, &entry.shape, entry.values() as u64, dtype, sparse(entry, classification))
        }
        _ => Vec::new(),
    }
}
