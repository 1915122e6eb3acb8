//! Whether a checkpoint matches its recipe.

use std::collections::{BTreeMap, HashMap};

use fanin_checkpoint::{Checkpoint, Progress, StreamKind};
use fanin_recipe::text as numbers;
use fanin_recipe::{Entry, Manifest, Planned, Recipe, StoredType};
use serde_json::{Value, json};

use crate::check::bits::Source;
use crate::check::model::ModelComparison;
use crate::check::sample::{Outcome, Reference, deviate};
use crate::check::tensor::Followed;
use crate::check::tensor_view::TensorView;
use crate::error::Result;

/// What a checkpoint is compared with.
#[derive(Debug)]
pub struct Request<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Variables of the recipe.
    pub settings: &'a [(String, f64)],
    /// The names, shapes and types that the checkpoint must have; `None` leaves them unchecked.
    pub model: Option<Manifest>,
    /// Whether the caller named `model`; otherwise it is the built-in model of the recipe.
    pub like_given: bool,
    /// The seed: with it, every value is compared bit for bit.
    pub seed: Option<u64>,
    /// The stream that the values come from.
    pub stream: StreamKind,
    /// The largest probability of calling a correct checkpoint wrong.
    pub alpha: f64,
    /// Whether tensors of equal values are expected: tied weights that are stored twice.
    pub tied: bool,
}

/// What was found.
#[derive(Debug)]
pub struct Verification {
    /// The tensors of the checkpoint, in its order.
    pub tensors: Vec<VerifiedTensor>,
    /// Deviations of all tensors of a rule together.
    pub rules: Vec<Outcome>,
    /// The tensors of the model that the checkpoint lacks.
    pub missing: Vec<Entry>,
    /// The number of tests.
    pub tests: usize,
    /// The p-value below which a test counts as a deviation.
    pub threshold: f64,
    /// The largest probability of calling a correct checkpoint wrong.
    pub alpha: f64,
    /// Whether values were compared bit for bit.
    pub bits_compared: bool,
    /// Where exact values differ: the stream and seed that the file names, if they are not those of the request.
    pub recorded: Option<(StreamKind, u64)>,
}

/// What was found of one tensor.
#[derive(Debug)]
pub struct VerifiedTensor {
    /// What the recipe says of it.
    pub planned: Planned,
    /// The outcome of every test.
    pub outcomes: Vec<Outcome>,
    /// The outcomes that deviate.
    pub deviations: Vec<Outcome>,
    /// Whether every value is bitwise equal to the stream's, where that was compared.
    pub bits: Option<bool>,
}

impl VerifiedTensor {
    fn new(planned: &Planned) -> Self {
        Self { planned: planned.clone(), outcomes: Vec::new(), deviations: Vec::new(), bits: None }
    }
}

impl Verification {
    /// Compares a checkpoint with a recipe. `progress` counts each pass over the values.
    ///
    /// # Errors
    /// A checkpoint that cannot be read; a recipe that does not fit it.
    pub fn new(checkpoint: &Checkpoint, request: Request<'_>, progress: &dyn Progress) -> Result<Self> {
        let manifest = &checkpoint.manifest;
        let comparison =
            ModelComparison::new(request.recipe, request.settings, manifest, request.model.clone())?;
        // A sequential stream went through the model in its order. Without --like that is the built-in model's, unless the
        // file was made like another that had one of its own.
        let as_model = !comparison.model.is_empty() && (request.like_given || comparison.in_order());
        let ModelComparison { planned: all, odd, missing, model } = comparison;
        let source = |seed| match request.stream {
            StreamKind::Torch if as_model => Source::in_order_of(&model, seed),
            stream => Ok(Source::new(stream, seed, &all)),
        };
        let mut source = request.seed.map(source).transpose()?;
        let mut references: Vec<Reference> = Vec::new();
        let mut pools: BTreeMap<&str, (f64, f64, u64)> = BTreeMap::new();
        let mut same: HashMap<(u64, usize), (usize, String)> = HashMap::new();
        let mut verdicts = Vec::new();
        let mut odd = odd.into_iter().peekable();
        for (number, planned) in all.iter().enumerate() {
            let mut verdict = VerifiedTensor::new(planned);
            while let Some((_, test, text)) = odd.next_if(|odd| odd.0 == number) {
                verdict.outcomes.push(Outcome { test, p: 0.0, text });
            }
            let entry = &planned.entry;
            if let Some(wanted) =
                planned.chosen_dtype.filter(|wanted| StoredType::from_float(*wanted) != entry.dtype)
            {
                let text = format!("stored as {}, the recipe says {wanted}", entry.dtype);
                verdict.outcomes.push(Outcome { test: "dtype", p: 0.0, text });
            }
            if !planned.is_known() {
                verdicts.push(verdict);
                continue;
            }
            let count = |bytes: &[u8]| {
                progress.add((bytes.len() / entry.dtype.size()) as u64, bytes.len() as u64);
            };
            let looked = |values: usize| progress.add(values as u64, (values * entry.dtype.size()) as u64);
            if let Some(plan) = &planned.plan {
                let views = TensorView::all(checkpoint, number, plan);
                for (suffix, view, plan) in &views {
                    let followed = Followed::of(view, plan, &mut references, looked)?;
                    let twin =
                        followed.hash.filter(|_| !request.tied && planned.tied.is_none() && plan.len() >= 16);
                    let twin =
                        twin.and_then(|hash| same.insert((hash, plan.len()), (number, suffix.clone())));
                    let here = if suffix.is_empty() { String::new() } else { format!("part {suffix}: ") };
                    verdict.outcomes.extend(followed.outcomes.into_iter().map(|outcome| {
                        let text = format!("{here}{}", outcome.text);
                        Outcome { text, ..outcome }
                    }));
                    if let Some((twin, part)) = twin {
                        let of = &all[twin].entry.name;
                        let text = format!("{here}the very values of {of}{part}");
                        verdict.outcomes.push(Outcome { test: "repeats", p: 0.0, text });
                    }
                    if let Some((excess, variance)) = followed.excess.filter(|_| planned.tied.is_none()) {
                        let pool = pools.entry(&planned.pattern).or_default();
                        *pool = (pool.0 + excess, pool.1 + variance, pool.2 + 1);
                    }
                }
                let between = TensorView::between(checkpoint, number, &views)?;
                if between > 0 {
                    let text = format!(
                        "{} between the parts, where 0 is planned",
                        numbers::counted(between, "other value")
                    );
                    verdict.outcomes.push(Outcome { test: "exact", p: 0.0, text });
                }
            } else {
                // Of an integer type: nothing here is random, any seed tells the values.
                let mut any = Source::new(StreamKind::Native, 0, &[]);
                let difference = any.compare(checkpoint, number, planned, count)?;
                verdict.outcomes.extend(difference.exact(entry.values()));
            }
            if let Some(source) = &mut source {
                let difference = source.compare(checkpoint, number, planned, count)?;
                verdict.bits = Some(difference.values == 0);
                if let Some((index, right, is)) = difference.first {
                    let text = format!(
                        "{} of {} differ from the seed's, by up to {:.3e}, the first at {index}: {is} instead of {right}",
                        numbers::counted(difference.values, "value"),
                        entry.values(),
                        difference.largest
                    );
                    verdict.outcomes.push(Outcome { test: "bits", p: 0.0, text });
                }
            }
            verdicts.push(verdict);
        }
        let pooled: Vec<Outcome> = pools
            .iter()
            .filter(|(_, pool)| pool.2 > 1)
            .map(|(rule, (excess, variance, tensors))| {
                let z = excess / variance.sqrt();
                let text = format!(
                    "rule {rule:?}: the std of its {tensors} tensors or parts together is {z:+.1} standard errors off"
                );
                // Sums of that many terms are normal where the single tensors' tests are.
                Outcome { test: "std of a rule", p: deviate(z, 2.0, *variance), text }
            })
            .collect();
        // Bonferroni: each test gets its part of the rate.
        let tests = verdicts.iter().map(|verdict| verdict.outcomes.len()).sum::<usize>() + pooled.len();
        let threshold = request.alpha / tests.max(1) as f64;
        for verdict in &mut verdicts {
            let outcomes = std::mem::take(&mut verdict.outcomes);
            verdict.deviations = outcomes.iter().filter(|outcome| outcome.p < threshold).cloned().collect();
            verdict.outcomes = outcomes;
        }
        let rules = pooled.into_iter().filter(|outcome| outcome.p < threshold).collect();
        let off = verdicts.iter().any(|verdict| verdict.bits == Some(false));
        let recorded = recorded(manifest)
            .filter(|&(stream, seed)| off && (stream != request.stream || Some(seed) != request.seed));
        let (alpha, bits_compared) = (request.alpha, request.seed.is_some());
        Ok(Self { tensors: verdicts, rules, missing, tests, threshold, alpha, bits_compared, recorded })
    }

    /// The number of tensors that deviate.
    pub fn wrong(&self) -> usize {
        self.tensors.iter().filter(|tensor| !tensor.deviations.is_empty()).count()
    }

    /// Whether the checkpoint matches.
    pub fn is_good(&self) -> bool {
        self.wrong() == 0 && self.rules.is_empty() && self.missing.is_empty()
    }

    /// The result as JSON; `file` is the checkpoint's name.
    pub fn to_json(&self, file: &str) -> Value {
        let tensors: Vec<Value> = self
            .tensors
            .iter()
            .map(|VerifiedTensor { planned, outcomes, deviations, bits }| {
                json!({
                    "name": planned.entry.name, "scheme": planned.action.to_string(), "rule": planned.pattern,
                    "good": deviations.is_empty(), "bits": bits,
                    "tests": outcomes.iter().map(outcome).collect::<Vec<_>>(),
                    "deviations": deviations.iter().map(outcome).collect::<Vec<_>>(),
                })
            })
            .collect();
        let recorded = self.recorded.map(|(stream, seed)| json!({ "stream": stream.name(), "seed": seed }));
        json!({
            "file": file, "good": self.is_good(), "recorded": recorded,
            "missing": self.missing.iter().map(|entry| &entry.name).collect::<Vec<_>>(), "alpha": self.alpha,
            "tests": self.tests, "threshold": self.threshold, "tensors": tensors,
            "rules": self.rules.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}

/// The stream and the seed that a checkpoint's metadata names.
fn recorded(manifest: &Manifest) -> Option<(StreamKind, u64)> {
    let stream = StreamKind::from_name(manifest.metadata("fanin.stream")?)?;
    Some((stream, manifest.metadata("fanin.seed")?.parse().ok()?))
}

fn outcome(outcome: &Outcome) -> Value {
    json!({ "test": outcome.test, "p": outcome.p, "text": outcome.text })
}
