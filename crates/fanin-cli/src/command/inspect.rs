//! `fanin inspect`: what a checkpoint holds.

use serde_json::json;

use super::recipe;
use crate::args::Inspect;
use crate::checkpoint::read::Checkpoint;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::models::manifest_variables;
use crate::recipe::Planned;
use crate::report::stats::Stats;
use crate::report::{self, numbers, progress::Progress, table};

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let mut checkpoint = Checkpoint::open(&args.file)?;
    let manifest = checkpoint.manifest.clone();
    let planned = plans(args, &manifest)?;
    let progress = Progress::new("reading", manifest.bytes(), quiet);
    let mut all = Vec::new();
    for entry in &manifest.entries {
        let mut stats = Stats::default();
        checkpoint.values(entry, |values| {
            stats.add(values);
            progress.add((values.len() * entry.dtype.size()) as u64);
        })?;
        all.push(stats);
    }
    progress.done();
    let plan_of = |name: &str| planned.iter().find(|planned| planned.entry.name == name);
    if args.json {
        let tensors: Vec<_> = manifest
            .entries
            .iter()
            .zip(&all)
            .map(|(entry, stats)| {
                let plan = plan_of(&entry.name);
                json!({
                    "name": entry.name, "dtype": entry.dtype, "shape": entry.shape, "values": entry.values(),
                    "scheme": plan.map(|planned| planned.init.to_string()),
                    "rule": plan.map(|planned| &planned.pattern),
                    "planned_mean": plan.and_then(|planned| planned.plan.as_ref()).map(fanin::Plan::mean),
                    "planned_std": plan.and_then(|planned| planned.plan.as_ref()).map(fanin::Plan::std),
                    "measured": stats.json(),
                })
            })
            .collect();
        let metadata: serde_json::Map<_, _> =
            manifest.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        return report::json(
            &json!({ "file": args.file.display().to_string(), "metadata": metadata, "tensors": tensors }),
        );
    }
    for (key, value) in manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe") {
        report::line(format!("{key}: {value}"))?;
    }
    let with_plan = !planned.is_empty();
    let mut header = vec!["tensor", "dtype", "shape"];
    if with_plan {
        header.extend(["scheme", ">planned std"]);
    }
    header.extend([">std", ">mean", ">min", ">max", ">zeros", ">NaN, inf", "histogram"]);
    let mut rows = table::new(&header);
    for (entry, stats) in manifest.entries.iter().zip(&all) {
        let mut row = vec![entry.name.clone(), entry.dtype.to_string(), numbers::shape(&entry.shape)];
        if with_plan {
            let planned = plan_of(&entry.name);
            row.push(planned.map(|planned| planned.init.to_string()).unwrap_or_default());
            let std = planned.map(|planned| planned.plan.as_ref().map_or(0.0, fanin::Plan::std));
            row.push(std.map(numbers::short).unwrap_or_default());
        }
        // A tensor without finite values has no moments and no range.
        let show = |x: f64| if stats.std().is_nan() { "-".to_owned() } else { numbers::short(x) };
        row.extend([stats.std(), stats.mean, stats.min, stats.max].map(show));
        row.push(numbers::count(stats.zeros));
        row.push(numbers::count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        rows.add_row(row);
    }
    report::line(table::text(&rows))?;
    let tensors = numbers::counted(manifest.entries.len() as u64, "tensor");
    report::line(format!(
        "\n{tensors}, {}, {}",
        numbers::counted(manifest.values(), "value"),
        numbers::bytes(manifest.bytes())
    ))
}

/// What the recipe, if one is given, says of each tensor.
fn plans(args: &Inspect, manifest: &Manifest) -> Result<Vec<Planned>> {
    let Some(name) = &args.recipe else { return Ok(Vec::new()) };
    let (recipe, model) = recipe(name)?;
    let mut settings = model.map(|model| manifest_variables(&model.manifest())).unwrap_or_default();
    settings.extend(args.settings.iter().cloned());
    recipe.apply(manifest, &settings)
}
