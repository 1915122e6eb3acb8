//! `fanin inspect`: what a checkpoint holds.

use serde_json::json;

use super::planned;
use crate::args::Inspect;
use crate::checkpoint::set::Checkpoints;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::recipe::Planned;
use crate::report::stats::Stats;
use crate::report::{self, numbers, progress::Progress, table};

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let mut checkpoint = Checkpoints::open(&args.file)?;
    let manifest = checkpoint.manifest.clone();
    let planned = plans(args, &manifest)?;
    let progress = Progress::new("reading", manifest.bytes(), quiet);
    let mut all = Vec::new();
    for (number, entry) in manifest.entries.iter().enumerate() {
        let mut stats = Stats::default();
        checkpoint.values(number, |values| {
            stats.add(values);
            progress.add(values.len() as u64, (values.len() * entry.dtype.size()) as u64);
        })?;
        all.push(stats);
    }
    progress.done();
    // With a recipe there is a plan for each tensor, in the same order.
    let rows = || {
        manifest
            .entries
            .iter()
            .zip(&all)
            .enumerate()
            .map(|(n, (entry, stats))| (entry, stats, planned.get(n)))
    };
    if args.json {
        let tensors: Vec<_> = rows()
            .map(|(entry, stats, planned)| {
                json!({
                    "name": entry.name, "dtype": entry.dtype, "shape": entry.shape, "values": entry.values(),
                    "scheme": planned.map(|planned| planned.init.to_string()),
                    "rule": planned.map(|planned| &planned.pattern),
                    "planned_mean": planned.map(Planned::mean),
                    "planned_std": planned.map(Planned::std),
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
        report::line(table::shown(&format!("{key}: {value}")))?;
    }
    let with_plan = !planned.is_empty();
    let mut header = vec!["tensor", "dtype", "shape"];
    if with_plan {
        header.extend(["scheme", ">planned mean", ">planned std"]);
    }
    header.extend([">mean", ">std", ">min", ">max", ">zeros", ">NaN, inf", "histogram"]);
    let mut shown = table::new(&header);
    // Where no value is finite there is no mean of them.
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), numbers::short);
    for (entry, stats, planned) in rows() {
        let mut row = vec![table::shown(&entry.name), entry.dtype.to_string(), numbers::shape(&entry.shape)];
        if let Some(planned) = planned {
            row.push(planned.init.to_string());
            row.extend([planned.mean(), planned.std()].map(numbers::short));
        }
        row.extend([stats.mean(), stats.std(), stats.min(), stats.max()].map(number));
        row.push(numbers::count(stats.zeros));
        row.push(numbers::count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        shown.add_row(row);
    }
    report::line(table::text(&shown))?;
    let tensors = numbers::counted(manifest.entries.len() as u64, "tensor");
    report::line(format!(
        "\n{tensors}, {}, {}",
        numbers::counted(manifest.values(), "value"),
        numbers::bytes(manifest.bytes())
    ))
}

/// What the recipe, if one is given, says of each tensor.
fn plans(args: &Inspect, manifest: &Manifest) -> Result<Vec<Planned>> {
    args.recipe.as_ref().map_or_else(|| Ok(Vec::new()), |name| planned(name, &args.settings, manifest))
}
