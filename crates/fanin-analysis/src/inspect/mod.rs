//! A checkpoint looked at once: of each tensor what was planned, what was measured and what is odd. The table, the JSON
//! and the page of `inspect` show the same inspection.

pub mod depth;
mod expected;
mod findings;
mod json;
pub mod page;
pub mod spectrum;

use std::path::Path;

use crate::check::sample::Reference;
use crate::error::Result;
use crate::stats::Stats;
use fanin_checkpoint::Checkpoint;
use fanin_checkpoint::Progress;
use fanin_recipe::manifest::{Entry, Manifest, StoredType};
use fanin_recipe::recipe::Planned;
use spectrum::Spectrum;

/// What is known of a checkpoint.
#[derive(Debug)]
pub struct Inspection {
    /// The file or folder, as it was named.
    pub file: String,
    /// The recipe, as it was named.
    pub recipe: Option<String>,
    /// Names, types, shapes, metadata.
    pub manifest: Manifest,
    /// Its tensors, in the manifest's order.
    pub rows: Vec<Row>,
    /// The tensors of the recipe's model that it lacks.
    pub missing: Vec<Entry>,
}

/// What is said of a tensor that is missing.
pub const MISSING: &str = "the model has this tensor, and it is not there";

/// What is known of a tensor.
#[derive(Debug)]
pub struct Row {
    /// Name, type, shape.
    pub entry: Entry,
    /// What the recipe says of it, if there is a recipe.
    pub planned: Option<Planned>,
    /// What was measured.
    pub stats: Stats,
    /// Its histogram, and the planned one.
    pub bars: Bars,
    /// Its singular values, if they were asked for and it is a matrix of finite values.
    pub spectrum: Option<Spectrum>,
    /// What is worth a warning.
    pub findings: Vec<String>,
}

/// A histogram in bars of equal width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bars {
    /// The bars' edges, ascending: one more than bars, or none at all. One value everywhere has two equal edges.
    pub edges: Vec<f64>,
    /// How many values lie in each.
    pub counts: Vec<u64>,
    /// How many are expected there by the plan, if the plan is a distribution with a density.
    pub planned: Option<Vec<f64>>,
}

/// How many tensors, values and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Tensors.
    pub tensors: u64,
    /// Values.
    pub values: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Inspection {
    /// Reads a checkpoint once. `planned` is empty, or has a plan for each tensor; `spectra` asks for singular values,
    /// which takes most of the time.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn take(
        file: &Path,
        checkpoint: &Checkpoint,
        recipe: Option<&str>,
        planned: Vec<Planned>,
        spectra: bool,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let manifest = checkpoint.manifest.clone();
        let mut references = Vec::new();
        let mut plans = planned.into_iter();
        let mut rows = Vec::new();
        for (number, entry) in manifest.entries.iter().enumerate() {
            let mut stats = Stats::default();
            checkpoint.values(number, |values| {
                stats.add(values);
                progress.add(values.len() as u64, (values.len() * entry.dtype.size()) as u64);
            })?;
            stats.settle();
            let planned = plans.next().filter(Planned::is_known);
            let (edges, counts) = stats.bars();
            let plan = planned.as_ref().and_then(|planned| planned.plan.as_ref());
            let expected = plan.and_then(|plan| expected::counts(plan, &edges, &stats));
            let reference = plan.and_then(|plan| Reference::known(&mut references, plan));
            let wild = stats.nans + stats.infinite > 0 || !entry.dtype.is_read();
            let spectrum = if spectra && !wild { Spectrum::of(checkpoint, number)? } else { None };
            if spectra {
                progress.add(0, entry.bytes());
            }
            let findings = findings::of(entry, &stats, planned.as_ref(), reference, spectrum.as_ref());
            let bars = Bars { edges, counts, planned: expected };
            rows.push(Row { entry: entry.clone(), planned, stats, bars, spectrum, findings });
        }
        Ok(Self {
            file: file.display().to_string(),
            recipe: recipe.map(str::to_owned),
            manifest,
            rows,
            missing: Vec::new(),
        })
    }

    /// All of it.
    pub fn total(&self) -> Total {
        self.sum(|_| true)
    }

    /// By type, the one with the most bytes first.
    pub fn by_type(&self) -> Vec<(StoredType, Total)> {
        let mut types: Vec<(StoredType, Total)> = Vec::new();
        for row in &self.rows {
            let dtype = row.entry.dtype;
            if types.iter().all(|(known, _)| *known != dtype) {
                types.push((dtype, self.sum(|entry| entry.dtype == dtype)));
            }
        }
        types.sort_by_key(|(_, total)| std::cmp::Reverse(total.bytes));
        types
    }

    fn sum(&self, which: impl Fn(&Entry) -> bool) -> Total {
        let mut total = Total::default();
        for entry in self.manifest.entries.iter().filter(|entry| which(entry)) {
            total.tensors += 1;
            total.values += entry.values() as u64;
            total.bytes += entry.bytes();
        }
        total
    }
}
