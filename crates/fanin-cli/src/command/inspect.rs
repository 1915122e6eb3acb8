//! `fanin inspect`: what a checkpoint holds.

use super::planned;
use crate::args::Inspect;
use crate::checkpoint::set::Checkpoints;
use crate::error::Result;
use crate::report::{self, numbers, table};
use crate::survey::Survey;

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let mut checkpoint = Checkpoints::open(&args.file)?;
    let recipe = args.recipe.as_deref();
    let plans = recipe.map(|name| planned(name, &args.settings, &checkpoint.manifest)).transpose()?;
    let spectra = args.json && !args.no_spectra;
    let plans = plans.unwrap_or_default();
    let survey = Survey::take(&args.file, &mut checkpoint, recipe, plans, spectra, quiet)?;
    if args.json {
        return report::json(&survey.json());
    }
    let findings = survey
        .rows
        .iter()
        .flat_map(|row| row.findings.iter().map(|finding| (row.entry.name.as_str(), finding.clone())));
    report::warnings(findings, quiet);
    show(&survey)
}

/// The table.
fn show(survey: &Survey) -> Result {
    let manifest = &survey.manifest;
    for (key, value) in manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe") {
        report::line(table::shown(&format!("{key}: {value}")))?;
    }
    let with_plan = survey.recipe.is_some();
    let mut header = vec!["tensor", "dtype", "shape"];
    if with_plan {
        header.extend(["scheme", ">planned mean", ">planned std"]);
    }
    header.extend([">mean", ">std", ">min", ">max", ">zeros", ">NaN, inf", "histogram"]);
    let mut shown = table::new(&header);
    // Where no value is finite there is no mean of them.
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), numbers::short);
    for row in &survey.rows {
        let (entry, stats) = (&row.entry, &row.stats);
        let planned = row.planned.as_ref();
        let mut row = vec![table::shown(&entry.name), entry.dtype.to_string(), numbers::shape(&entry.shape)];
        if let Some(planned) = planned {
            row.push(planned.init.to_string());
            row.extend([planned.mean(), planned.std()].map(numbers::short));
        } else if with_plan {
            row.extend([const { String::new() }; 3]);
        }
        row.extend([stats.mean(), stats.std(), stats.min(), stats.max()].map(number));
        row.push(numbers::count(stats.zeros));
        row.push(numbers::count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        shown.add_row(row);
    }
    report::line(table::text(&shown))?;
    let total = survey.total();
    report::line(format!(
        "\n{}, {}, {}",
        numbers::counted(total.tensors, "tensor"),
        numbers::counted(total.values, "value"),
        numbers::bytes(total.bytes)
    ))
}
