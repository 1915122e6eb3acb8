//! The table of tensors: a row for each, and what opens below it.

use maud::{Markup, html};

use super::chart;
use crate::describe;
use crate::inspect::spectrum::{Method, Spectrum};
use crate::inspect::{Inspection, Row};
use fanin_recipe::recipe::Planned;
use fanin_recipe::text::{self as numbers, escaped as shown};

/// A column: its heading, what to say of it, and whether it has numbers.
type Column = (&'static str, &'static str, bool);

/// The columns. Those of a plan and of singular values are there if there are such.
fn columns(inspection: &Inspection) -> Vec<Column> {
    let mut all: Vec<Column> = vec![
        ("tensor", "Name, in the file's order", false),
        ("dtype", "Type of the values", false),
        ("shape", "Sorts by the number of values", true),
        ("histogram", "Values found, and the plan as a line", false),
    ];
    if inspection.recipe.is_some() {
        all.push(("scheme", "What the recipe says", false));
        all.push(("planned std", "Standard deviation that the recipe gives", true));
    }
    all.push(("std", "Standard deviation of the finite values", true));
    if inspection.recipe.is_some() {
        all.push(("off, %", "The std measured against the planned one, in percent", true));
    }
    all.push(("mean", "Mean of the finite values", true));
    all.push(("min", "Least finite value", true));
    all.push(("max", "Greatest finite value", true));
    if inspection.rows.iter().any(|row| row.spectrum.is_some()) {
        all.push((
            "norm",
            "Spectral norm: the greatest singular value; a lower bound where it begins with ≥",
            true,
        ));
        all.push((
            "condition",
            "Greatest over least singular value; a lower bound where it begins with ≥",
            true,
        ));
    }
    all
}

/// The table.
pub(super) fn table(inspection: &Inspection) -> Markup {
    let columns = columns(inspection);
    html! {
        table #tensors {
            thead {
                tr {
                    @for (name, about, number) in &columns {
                        th scope="col" class=[number.then_some("n")] {
                            @if *name == "histogram" { (name) } @else {
                                button type="button" title=(about) { (name) }
                            }
                        }
                    }
                }
            }
            @for (number, row) in inspection.rows.iter().enumerate() {
                tbody id={ "t" (number) } data-w=(row.findings.len()) {
                    tr {
                        @for (column, _, _) in &columns { (cell(column, number, row)) }
                    }
                    tr.more hidden {
                        td colspan=(columns.len()) { (more(number, row)) }
                    }
                }
            }
        }
    }
}

/// A cell with a number; where there is none, a dash that sorts to the end.
fn numeral(label: &str, value: Option<f64>, text: impl FnOnce(f64) -> String) -> Markup {
    // Beyond f64 there is a number, and JSON has none for it: the largest sorts as it should.
    let sorted = value.filter(|x| !x.is_nan()).map(|x| x.clamp(-f64::MAX, f64::MAX));
    html! {
        td.n data-l=(label) data-v=[sorted] {
            @match value { Some(value) => (text(value)), None => "–" }
        }
    }
}

fn cell(column: &str, number: usize, row: &Row) -> Markup {
    let (entry, stats) = (&row.entry, &row.stats);
    let planned = row.planned.as_ref();
    let spectrum = row.spectrum.as_ref();
    let short = |x: f64| numbers::short(x);
    let bound = |x: f64| {
        let exact = spectrum.is_some_and(Spectrum::is_exact);
        if x.is_infinite() {
            "∞".to_owned()
        } else {
            format!("{}{}", if exact { "" } else { "≥ " }, short(x))
        }
    };
    match column {
        "tensor" => html! {
            th scope="row" {
                button.name type="button" aria-expanded="false" { bdi { (shown(&entry.name)) } }
                @if !row.findings.is_empty() {
                    span.mark title="has warnings" { "⚠ " (row.findings.len()) }
                }
            }
        },
        "dtype" => html! { td data-l=(column) { (entry.dtype) } },
        "shape" => html! { td.n data-l=(column) data-v=(entry.values()) { (numbers::shape(&entry.shape)) } },
        "histogram" => html! { td.h { (chart::small(number, &row.bars)) } },
        "scheme" => {
            html! { td.scheme data-l=(column) { (planned.map(|p| p.action.to_string()).unwrap_or_default()) } }
        }
        "planned std" => numeral(column, planned.map(Planned::std), short),
        "std" => numeral(column, stats.std(), short),
        "off, %" => numeral(column, off(row), |x| format!("{x:+.2}")),
        "mean" => numeral(column, stats.mean(), short),
        "min" => numeral(column, stats.min(), short),
        "max" => numeral(column, stats.max(), short),
        "norm" => numeral(column, spectrum.map(|found| found.norm), bound),
        _ => numeral(column, spectrum.and_then(Spectrum::condition), bound),
    }
}

/// How far the std is from the planned one, in percent.
fn off(row: &Row) -> Option<f64> {
    let planned = row.planned.as_ref()?.std();
    (planned > 0.0).then(|| row.stats.std().map(|std| (std / planned - 1.0) * 100.0)).flatten()
}

/// What opens below a row.
fn more(number: usize, row: &Row) -> Markup {
    let (entry, stats) = (&row.entry, &row.stats);
    let found = [("mean", stats.mean()), ("std", stats.std()), ("min", stats.min()), ("max", stats.max())];
    html! {
        div.cols {
            figure { (chart::large(number, row)) }
            dl {
                dt { "values" } dd { (numbers::count(entry.values() as u64)) ", " (numbers::bytes(entry.bytes())) }
                @if let Some(planned) = &row.planned {
                    dt { "rule" } dd { code { bdi { (shown(&planned.pattern)) } } }
                    dt { "scheme" } dd { code { (planned.action) } }
                    @if let Some(plan) = &planned.plan {
                        dt { "distribution" } dd { (describe::text(plan)) }
                    }
                    dt { "planned mean, std" } dd { (long(planned.mean())) ", " (long(planned.std())) }
                }
                @for (name, value) in found {
                    dt { (name) } dd { @match value { Some(value) => (long(value)), None => "–" } }
                }
                dt { "zeros" } dd { (numbers::count(stats.zeros)) }
                dt { "NaN, infinite" } dd { (numbers::count(stats.nans)) ", " (numbers::count(stats.infinite)) }
                @if let Some(found) = &row.spectrum { (spectrum(found)) }
            }
        }
        @if !row.findings.is_empty() {
            ul.warnings { @for finding in &row.findings { li { (finding) } } }
        }
    }
}

fn spectrum(found: &Spectrum) -> Markup {
    let least = if found.is_exact() { "" } else { "at least " };
    let most = if found.is_exact() { "" } else { "at most " };
    html! {
        dt { "as a matrix" } dd { (numbers::count(found.rows as u64)) " x " (numbers::count(found.columns as u64)) }
        dt { "spectral norm" } dd { (least) (long(found.norm)) }
        @if let Some(value) = found.least { dt { "least singular value" } dd { (most) (long(value)) } }
        @if let Some(value) = found.condition() {
            dt { "condition number" }
            dd { @if value.is_infinite() { "∞: not of full rank" } @else { (least) (long(value)) } }
        }
        @if let Method::Lanczos { rows, error } = found.method {
            dt { "found by" }
            dd {
                "16 Lanczos steps on "
                @if rows < found.rows { (numbers::count(rows as u64)) " evenly spaced rows" } @else { "all rows" }
                "; a singular value within " (numbers::short(error * 100.0)) " % of the norm"
            }
        }
    }
}

/// With seven digits: more than a std has that tell anything.
fn long(x: f64) -> String {
    if x == 0.0 || !x.is_finite() || (x.fract() == 0.0 && x.abs() < 1e9) {
        return format!("{x}");
    }
    let text = format!("{x:.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(power @ -4..=6) => {
            let digits = (6 - power).max(0) as usize;
            let text = format!("{x:.digits$}");
            if digits > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        _ => format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.')),
    }
}
