//! `fanin verify`: whether a checkpoint is what its recipe says.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher as _};

use clap::ValueEnum as _;
use fanin::{Law, Warning};
use serde_json::{Value, json};

use super::{held, open};
use crate::args::{StreamName, Verify};
use crate::check::bits::Source;
use crate::check::model::Held;
use crate::check::orthogonal;
use crate::check::repeats::{Repeats, Twice};
use crate::check::sample::{Outcome, Reference, Sample, deviate};
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
    let mut checkpoint = open(&args.file, quiet)?;
    let manifest = checkpoint.manifest.clone();
    let Held { planned: all, odd, missing } =
        held(&args.recipe, &args.settings, &manifest, args.like.as_deref())?;
    report::warnings(all.iter().flat_map(warnings_of), quiet);
    let passes = 1 + u64::from(args.seed.is_some());
    let progress = Progress::new("verifying", manifest.bytes() * passes, quiet);
    let mut source = args.seed.map(|seed| Source::new(args.stream, seed, &all));
    let mut references: Vec<Reference> = Vec::new();
    let mut pools: BTreeMap<&str, (f64, f64, u64)> = BTreeMap::new();
    let mut same: HashMap<(u64, usize), usize> = HashMap::new();
    let mut verdicts = Vec::new();
    let mut odd = odd.into_iter().peekable();
    for (number, planned) in all.iter().enumerate() {
        let mut verdict = Verdict::default();
        while let Some((_, test, text)) = odd.next_if(|odd| odd.0 == number) {
            verdict.outcomes.push(Outcome { test, p: 0.0, text });
        }
        let mut say = |test, p, text| verdict.outcomes.push(Outcome { test, p, text });
        let mut hash = DefaultHasher::new();
        let entry = &planned.entry;
        let count = |bytes: &[u8]| {
            progress.add((bytes.len() / entry.dtype.size()) as u64, bytes.len() as u64);
        };
        let orthogonal = planned.plan.as_ref().and_then(|plan| match plan.law() {
            Law::Orthogonal { gain } if gain != 0.0 && !plan.is_empty() => Some((gain, plan.dtype())),
            _ => None,
        });
        let reference = planned.plan.as_ref().and_then(|plan| Reference::known(&mut references, plan));
        if let Some(wanted) = planned.wanted.filter(|wanted| StoredType::from_float(*wanted) != entry.dtype) {
            say("dtype", 0.0, format!("stored as {}, the recipe says {wanted}", entry.dtype));
        }
        // Parts are told apart by the seed's bits only.
        let in_parts = planned.plan.as_ref().is_some_and(|plan| !plan.parts().is_empty());
        let mut drawn = reference.is_some() || orthogonal.is_some() || in_parts;
        if let (Some(reference), Some(plan)) = (reference, &planned.plan) {
            // The type cannot hold the law: all its values are one.
            if reference.moments.variance > 0.0 {
                let mut repeats = Repeats::new(&entry.shape);
                let sparse = match plan.law() {
                    Law::Sparse { zeros, .. } => Some(zeros),
                    _ => None,
                };
                let mut sample = Sample::new(reference, sparse.is_some());
                let mut columns = vec![0u64; sparse.map_or(0, |_| entry.shape[1])];
                let mut column = 0;
                checkpoint.values(number, |values| {
                    sample.add(reference, values);
                    repeats.add(values);
                    values.iter().for_each(|x| hash.write_u64(x.to_bits()));
                    if !columns.is_empty() {
                        for x in values {
                            columns[column] += u64::from(*x == 0.0);
                            column = (column + 1) % columns.len();
                        }
                    }
                    progress.add(values.len() as u64, (values.len() * entry.dtype.size()) as u64);
                })?;
                for outcome in sample.tests(reference) {
                    say(outcome.test, outcome.p, outcome.text);
                }
                if let Some(zeros) = sparse {
                    let off = columns.iter().filter(|&&found| found < zeros as u64).count();
                    if off > 0 {
                        let text =
                            format!("{off} of {} columns have fewer than {zeros} zeros", columns.len());
                        say("zeros", 0.0, text);
                    }
                    let more: u64 = columns.iter().map(|&found| found.saturating_sub(zeros as u64)).sum();
                    let expected =
                        sample.count as f64 * (2f64.powi(-23) + reference.draw.density(0.0) * 1e-7);
                    if more as f64 > 20.0 + 10.0 * expected {
                        let text = format!("{more} zeros more than the {zeros} planned in each column");
                        say("zeros", 0.0, text);
                    }
                }
                let text = repeats.any().map(|twice| match twice {
                    Twice::Stretch(first, second) => format!(
                        "a stretch of values stands twice, at the indices {first} and {second}: {} apart of {}",
                        second - first,
                        numbers::counted(entry.values() as u64, "value")
                    ),
                    Twice::Rows(first, second) => format!("the rows {first} and {second} are equal"),
                });
                if let Some(text) = text {
                    say("repeats", 0.0, text);
                }
                if sample.count > 0 && planned.tied.is_none() {
                    let pool = pools.entry(&planned.pattern).or_default();
                    let (excess, variance) = sample.excess(reference);
                    *pool = (pool.0 + excess, pool.1 + variance, pool.2 + 1);
                }
            } else {
                drawn = false;
            }
        } else if let Some((gain, dtype)) = orthogonal {
            let mut entries = orthogonal::Entries::default();
            checkpoint.values(number, |values| {
                entries.add(values);
                values.iter().for_each(|x| hash.write_u64(x.to_bits()));
                progress.add(values.len() as u64, (values.len() * entry.dtype.size()) as u64);
            })?;
            let (departure, most) =
                (orthogonal::departure(&mut checkpoint, number, gain)?, orthogonal::tolerance(dtype));
            if departure > most || departure.is_nan() {
                let text = format!(
                    "not orthogonal times {gain}: off by {departure:.2e}, rounding explains {most:.0e}"
                );
                say("orthogonal", 0.0, text);
            }
            for outcome in entries.tests(&entry.shape, gain, dtype) {
                say(outcome.test, outcome.p, outcome.text);
            }
        }
        if !planned.is_known() {
            verdict.bits = None;
            verdicts.push(verdict);
            continue;
        }
        if !drawn {
            // Nothing here is random: any seed tells the values.
            let difference =
                Source::new(StreamName::Native, 0, &[]).compare(&mut checkpoint, number, planned, count)?;
            if let Some((index, right, is)) = difference.first {
                let many = numbers::counted(difference.values, "value");
                let text = format!(
                    "{many} of {} not as planned, the first at {index}: {is} instead of {right}",
                    entry.values()
                );
                say("exact", 0.0, text);
            }
        }
        if let Some(source) = &mut source {
            let difference = source.compare(&mut checkpoint, number, planned, count)?;
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
        if drawn
            && !args.tied
            && planned.tied.is_none()
            && entry.values() >= 16
            && let Some(twin) = same.insert((hash.finish(), entry.values()), number)
        {
            let text = format!("the very values of {} (--tied if that is meant)", all[twin].entry.name);
            verdict.outcomes.push(Outcome { test: "repeats", p: 0.0, text });
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
                "rule {rule:?}: the std of its {tensors} tensors together is {z:+.1} standard errors off"
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
