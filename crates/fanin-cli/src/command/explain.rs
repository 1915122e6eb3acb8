//! `fanin explain`: what a spec does to a shape.

use fanin::init::Init;
use fanin::{DType, Initializer as _, Law};
use serde_json::{Value, json};

use crate::args::Explain;
use crate::error::Result;
use crate::report::{self, law, numbers, table};

pub(super) fn run(args: &Explain, quiet: bool) -> Result {
    let init = Init::parse(&args.spec)?;
    let plan = init.resolve(&args.shape.0, args.dtype)?;
    report::warnings(plan.warnings().iter().map(|warning| (args.spec.as_str(), warning.to_string())), quiet);
    show(&init, &args.shape.0, args.dtype, args.json)
}

/// Shows an initializer on a shape.
pub(super) fn show(init: &Init, shape: &[usize], dtype: DType, as_json: bool) -> Result {
    let plan = init.resolve(shape, dtype)?;
    let family = init.family();
    let gain = match init {
        Init::Kaiming(it) => Some(it.gain_value()),
        Init::Xavier(it) => Some(it.gain_value()),
        Init::Orthogonal(it) => Some(it.gain_value()),
        _ => None,
    };
    let (low, high) = plan.bounds();
    if as_json {
        let finite = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
        return report::json(&json!({
            "spec": init.to_string(), "scheme": family.name, "shape": shape, "dtype": dtype.name(),
            "values": plan.len(),
            "fan_in": plan.fans().map(|fans| fans.fan_in), "fan_out": plan.fans().map(|fans| fans.fan_out),
            "gain": gain, "law": law::text(&plan), "mean": plan.mean(), "std": plan.std(),
            "low": finite(low), "high": finite(high),
            "formula": family.formula, "source": family.source,
            "warnings": plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    let mut rows = table::new(&["", ""]);
    let mut row = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    row("spec", init.to_string());
    row(
        "shape",
        format!("{} ({} values of {dtype})", numbers::shape(shape), numbers::count(plan.len() as u64)),
    );
    row("formula", family.formula.to_owned());
    if let Some(fans) = plan.fans() {
        row("fan_in", numbers::count(fans.fan_in as u64));
        row("fan_out", numbers::count(fans.fan_out as u64));
    }
    if let Some(gain) = gain {
        row("gain", gain.to_string());
    }
    row("law", law::text(&plan));
    row("mean", plan.mean().to_string());
    row("std", plan.std().to_string());
    if low.is_finite() || high.is_finite() {
        row("bounds", format!("{low} to {high}"));
    }
    if let Law::TruncatedNormal { mean, std, low, high, .. } = plan.law() {
        let sigmas = |bound: f64| numbers::short((bound - mean) / std);
        row(
            "cut at",
            format!("{} and {} sigma; the std above is that of what is left", sigmas(low), sigmas(high)),
        );
    }
    if !family.source.is_empty() {
        row("source", family.source.to_owned());
    }
    report::line(table::text(&rows).trim_start_matches(['\n', ' ']))
}
