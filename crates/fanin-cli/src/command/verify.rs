//! `fanin verify`: whether a checkpoint is what its recipe says.

use std::collections::{BTreeMap, HashMap};

use clap::ValueEnum as _;
use fanin::Warning;
use serde_json::{Value, json};

use super::{held, open};
use crate::args::{StreamName, Verify};
use crate::check::bits::Source;
use crate::check::follows::Followed;
use crate::check::model::Held;
use crate::check::piece::Piece;
use crate::check::sample::{Outcome, Reference, deviate};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, StoredType};
use crate::recipe::Planned;
use crate::report::{self, numbers, progress::Progress, table};

/// What was found of one tensor.
#[derive(Default)]
struct Verdict {
    outcomes: Vec<Outcome>,
    /// What each outcome's p-value was compared to is settled when all tests are counted.
    deviations: Vec<Outcome>,
    bits: Option<bool>,
}

pub(super) fn run(args: &Verify, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let manifest = checkpoint.manifest.clone();
    let held = held(&args.recipe, &args.settings, &manifest, args.like.as_deref())?;
    // A sequential stream went through the model in its order. Without --like that is the built-in model's, unless the
    // file was made like another that had one of its own.
    let as_model = !held.model.is_empty() && (args.like.is_some() || held.in_order());
    let Held { planned: all, odd, missing, model } = held;
    report::warnings(all.iter().flat_map(warnings_of), quiet);
    let passes = 1 + u64::from(args.seed.is_some());
    let progress = Progress::new("verifying", manifest.bytes() * passes, quiet);
    let source = |seed| match args.stream {
        StreamName::Torch if as_model => Source::in_order_of(&model, seed),
        stream => Ok(Source::new(stream, seed, &all)),
    };
    let mut source = args.seed.map(source).transpose()?;
    let mut references: Vec<Reference> = Vec::new();
    let mut pools: BTreeMap<&str, (f64, f64, u64)> = BTreeMap::new();
    let mut same: HashMap<(u64, usize), (usize, String)> = HashMap::new();
    let mut verdicts = Vec::new();
    let mut odd = odd.into_iter().peekable();
    for (number, planned) in all.iter().enumerate() {
        let mut verdict = Verdict::default();
        while let Some((_, test, text)) = odd.next_if(|odd| odd.0 == number) {
            verdict.outcomes.push(Outcome { test, p: 0.0, text });
        }
        let entry = &planned.entry;
        if let Some(wanted) = planned.wanted.filter(|wanted| StoredType::from_float(*wanted) != entry.dtype) {
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
            let pieces = Piece::all(&checkpoint, number, plan);
            for (suffix, piece, plan) in &pieces {
                let followed = Followed::of(piece, plan, &mut references, looked)?;
                let twin = followed.hash.filter(|_| !args.tied && planned.tied.is_none() && plan.len() >= 16);
                let twin = twin.and_then(|hash| same.insert((hash, plan.len()), (number, suffix.clone())));
                let here = if suffix.is_empty() { String::new() } else { format!("part {suffix}: ") };
                verdict.outcomes.extend(followed.outcomes.into_iter().map(|outcome| {
                    let text = format!("{here}{}", outcome.text);
                    Outcome { text, ..outcome }
                }));
                if let Some((twin, part)) = twin {
                    let of = &all[twin].entry.name;
                    let text = format!("{here}the very values of {of}{part} (--tied if that is meant)");
                    verdict.outcomes.push(Outcome { test: "repeats", p: 0.0, text });
                }
                if let Some((excess, variance)) = followed.excess.filter(|_| planned.tied.is_none()) {
                    let pool = pools.entry(&planned.pattern).or_default();
                    *pool = (pool.0 + excess, pool.1 + variance, pool.2 + 1);
                }
            }
            let between = Piece::between(&checkpoint, number, &pieces)?;
            if between > 0 {
                let text = format!(
                    "{} between the parts, where 0 is planned",
                    numbers::counted(between, "other value")
                );
                verdict.outcomes.push(Outcome { test: "exact", p: 0.0, text });
            }
        } else {
            // Of an integer type: nothing here is random, any seed tells the values.
            let mut any = Source::new(StreamName::Native, 0, &[]);
            let difference = any.compare(&checkpoint, number, planned, count)?;
            verdict.outcomes.extend(difference.exact(entry.values()));
        }
        if let Some(source) = &mut source {
            let difference = source.compare(&checkpoint, number, planned, count)?;
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
    progress.done();
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
    let threshold = args.alpha / tests.max(1) as f64;
    for verdict in &mut verdicts {
        let outcomes = std::mem::take(&mut verdict.outcomes);
        verdict.deviations = outcomes.iter().filter(|outcome| outcome.p < threshold).cloned().collect();
        verdict.outcomes = outcomes;
    }
    let pooled_off: Vec<&Outcome> = pooled.iter().filter(|outcome| outcome.p < threshold).collect();
    let wrong = verdicts.iter().filter(|verdict| !verdict.deviations.is_empty()).count();
    let good = wrong == 0 && pooled_off.is_empty() && missing.is_empty();
    let off = verdicts.iter().any(|verdict| verdict.bits == Some(false));
    let hint = if off { hint(args, &manifest) } else { None };
    if args.json {
        let tensors: Vec<Value> = all
            .iter()
            .zip(&verdicts)
            .map(|(planned, verdict)| {
                json!({
                    "name": planned.entry.name, "scheme": planned.init.to_string(), "rule": planned.pattern,
                    "good": verdict.deviations.is_empty(), "bits": verdict.bits,
                    "tests": verdict.outcomes.iter().map(outcome).collect::<Vec<_>>(),
                    "deviations": verdict.deviations.iter().map(outcome).collect::<Vec<_>>(),
                })
            })
            .collect();
        report::json(&json!({
            "file": args.file.display().to_string(), "good": good, "hint": hint,
            "missing": missing.iter().map(|entry| &entry.name).collect::<Vec<_>>(), "alpha": args.alpha, "tests": tests,
            "threshold": threshold, "tensors": tensors, "rules": pooled_off.into_iter().map(outcome).collect::<Vec<_>>(),
        }))?;
    } else {
        let mut shown = table::new(&["tensor", "scheme", "test", "what deviates"]);
        for (planned, verdict) in all.iter().zip(&verdicts) {
            for deviation in &verdict.deviations {
                shown.add_row([
                    table::shown(&planned.entry.name),
                    planned.init.to_string(),
                    deviation.test.to_owned(),
                    deviation.text.clone(),
                ]);
            }
        }
        for entry in &missing {
            let text = format!("the model has it as {} {}", entry.dtype, numbers::shape(&entry.shape));
            shown.add_row([table::shown(&entry.name), String::new(), "missing".to_owned(), text]);
        }
        if wrong > 0 || !missing.is_empty() {
            report::line(table::text(&shown))?;
        }
        for outcome in pooled_off {
            report::line(&outcome.text)?;
        }
        if let Some(hint) = hint {
            report::line(format!("\n{hint}"))?;
        }
        let count = numbers::counted(all.len() as u64, "tensor");
        let missing = if missing.is_empty() { String::new() } else { format!(", {} missing", missing.len()) };
        let bits = if args.seed.is_some() { ", bits compared" } else { "" };
        report::line(format!(
            "{}{count}, {wrong} not as planned{missing}; {tests} tests{bits}; false-alarm rate of the whole at most {}",
            if good { "" } else { "\n" },
            args.alpha
        ))?;
    }
    if good { Ok(()) } else { Err(Error::No) }
}

/// The stream and the seed that the file says it is from, if they are not those that were asked for.
fn hint(args: &Verify, manifest: &Manifest) -> Option<String> {
    let stream = StreamName::from_str(manifest.metadata("fanin.stream")?, false).ok()?;
    let seed: u64 = manifest.metadata("fanin.seed")?.parse().ok()?;
    let name = stream.name();
    (stream != args.stream || Some(seed) != args.seed)
        .then(|| format!("the file says stream {name}, seed {seed}: --stream {name} --seed {seed}?"))
}

fn outcome(outcome: &Outcome) -> Value {
    json!({ "test": outcome.test, "p": outcome.p, "text": outcome.text })
}

fn warnings_of(planned: &Planned) -> impl Iterator<Item = (&str, String)> {
    let warnings = planned.plan.as_ref().map(|plan| plan.warnings()).unwrap_or_default();
    warnings.iter().map(|warning: &Warning| (planned.entry.name.as_str(), warning.to_string()))
}
