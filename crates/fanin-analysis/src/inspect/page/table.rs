//! Renders the table of tensors: a row for each tensor, and the details that open below the row.

use maud::{Markup, html};

use super::chart;
use crate::describe;
use crate::inspect::inspection::{Inspection, TensorInspection};
use crate::inspect::spectrum::{Method, Spectrum};
use fanin_recipe::Planned;
use fanin_recipe::text::{self, escaped};

/// A column of the table: its heading, its tooltip, and whether its cells are numbers.
type Column = (&'static str, &'static str, bool);

/// Returns the columns of the table. Columns of planned values are left out without a recipe. Columns of singular
/// values are left out if no tensor has them.
fn columns(inspection: &Inspection) -> Vec<Column> {
    let mut all: Vec<Column> = vec![
        ("tensor", "Name", false),
        ("dtype", "Type of the values", false),
        ("shape", "Shape; sorts by the number of values", true),
        ("histogram", "Values found as bars, planned values as a line", false),
    ];
    if inspection.recipe.is_some() {
        all.push(("scheme", "Initialization scheme of the recipe", false));
        all.push(("planned std", "Standard deviation by the recipe", true));
    }
    all.push(("std", "Standard deviation of the finite values", true));
    if inspection.recipe.is_some() {
        all.push(("off, %", "Difference between measured and planned std, in percent", true));
    }
    all.push(("mean", "Mean of the finite values", true));
    all.push(("min", "Smallest finite value", true));
    all.push(("max", "Largest finite value", true));
    if inspection.tensors.iter().any(|tensor| tensor.spectrum.is_some()) {
        all.push(("norm", "Spectral norm: the largest singular value; ≥ marks a lower bound", true));
        all.push(("condition", "Largest over smallest singular value; ≥ marks a lower bound", true));
    }
    all
}

/// Returns the table of tensors.
pub(super) fn table(inspection: &Inspection) -> Markup {
    let columns = columns(inspection);
    html! {
        table #tensors {
            thead {
                tr {
                    @for (name, tooltip, numeric) in &columns {
                        th scope="col" class=[numeric.then_some("n")] {
                            @if *name == "histogram" { (name) } @else {
                                button type="button" title=(tooltip) { (name) }
                            }
                        }
                    }
                }
            }
            @for (index, tensor) in inspection.tensors.iter().enumerate() {
                tbody id={ "t" (index) } data-w=(tensor.warnings.len()) {
                    tr {
                        @for (column, _, _) in &columns { (cell(column, index, tensor)) }
                    }
                    tr.more hidden {
                        td colspan=(columns.len()) { (details(index, tensor)) }
                    }
                }
            }
        }
    }
}

/// Returns a cell with a number. `label` is the name of the column, and `text` formats the number. If `value` is
/// `None`, the cell has a dash, and the script sorts it to the end.
fn number_cell(label: &str, value: Option<f64>, text: impl FnOnce(f64) -> String) -> Markup {
    // An infinite number is replaced by the largest finite number of its sign, which the script can parse and sort.
    let sorted = value.filter(|x| !x.is_nan()).map(|x| x.clamp(-f64::MAX, f64::MAX));
    html! {
        td.n data-l=(label) data-v=[sorted] {
            @match value { Some(value) => (text(value)), None => "–" }
        }
    }
}

/// Returns the cell of a tensor in the column named `column`. `index` is the index of the tensor in the inspection.
fn cell(column: &str, index: usize, tensor: &TensorInspection) -> Markup {
    let (entry, stats) = (&tensor.entry, &tensor.stats);
    let planned = tensor.planned.as_ref();
    let spectrum = tensor.spectrum.as_ref();
    let short = |x: f64| text::short(x);
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
                button.name type="button" aria-expanded="false" { bdi { (escaped(&entry.name)) } }
                @if !tensor.warnings.is_empty() {
                    span.mark title="has warnings" { "⚠ " (tensor.warnings.len()) }
                }
            }
        },
        "dtype" => html! { td data-l=(column) { (entry.dtype) } },
        "shape" => html! { td.n data-l=(column) data-v=(entry.values()) { (text::shape(&entry.shape)) } },
        "histogram" => html! { td.h { (chart::small(index, &tensor.histogram)) } },
        "scheme" => {
            html! { td.scheme data-l=(column) { (planned.map(|planned| planned.action.to_string()).unwrap_or_default()) } }
        }
        "planned std" => number_cell(column, planned.map(Planned::std), short),
        "std" => number_cell(column, stats.std(), short),
        "off, %" => number_cell(column, std_difference(tensor), |x| format!("{x:+.2}")),
        "mean" => number_cell(column, stats.mean(), short),
        "min" => number_cell(column, stats.min(), short),
        "max" => number_cell(column, stats.max(), short),
        "norm" => number_cell(column, spectrum.map(|found| found.norm), bound),
        _ => number_cell(column, spectrum.and_then(Spectrum::condition), bound),
    }
}

/// Returns the relative difference between the measured and the planned standard deviation, in percent. Returns `None`
/// if no standard deviation above 0 is planned.
fn std_difference(tensor: &TensorInspection) -> Option<f64> {
    let planned = tensor.planned.as_ref()?.std();
    (planned > 0.0).then(|| tensor.stats.std().map(|std| (std / planned - 1.0) * 100.0)).flatten()
}

/// Returns the details of a tensor, which open below its row.
fn details(index: usize, tensor: &TensorInspection) -> Markup {
    let (entry, stats) = (&tensor.entry, &tensor.stats);
    let count = |count| tensor.count(count).map_or_else(|| "–".to_owned(), text::count);
    let found = [("mean", stats.mean()), ("std", stats.std()), ("min", stats.min()), ("max", stats.max())];
    html! {
        div.cols {
            figure { (chart::large(index, tensor)) }
            dl {
                dt { "values" } dd { (text::count(entry.values() as u64)) ", " (text::bytes(entry.bytes())) }
                @if let Some(planned) = &tensor.planned {
                    dt { "rule" } dd { code { bdi { (escaped(&planned.pattern)) } } }
                    dt { "scheme" } dd { code { (planned.action) } }
                    @if let Some(plan) = &planned.plan {
                        dt { "distribution" } dd { (describe::text(plan)) }
                    }
                    dt { "planned mean, std" } dd { (long(planned.mean())) ", " (long(planned.std())) }
                }
                @for (name, value) in found {
                    dt { (name) } dd { @match value { Some(value) => (long(value)), None => "–" } }
                }
                dt { "zeros" } dd { (count(stats.zeros)) }
                dt { "NaN, infinite" } dd { (count(stats.nans)) ", " (count(stats.infinite)) }
                @if let Some(found) = &tensor.spectrum { (spectrum(found)) }
            }
        }
        @if !tensor.warnings.is_empty() {
            ul.warnings { @for warning in &tensor.warnings { li { (warning) } } }
        }
    }
}

/// Returns the singular values of a tensor as entries of a description list.
fn spectrum(found: &Spectrum) -> Markup {
    let at_least = if found.is_exact() { "" } else { "at least " };
    let at_most = if found.is_exact() { "" } else { "at most " };
    html! {
        dt { "matrix shape" } dd { (text::count(found.rows as u64)) " x " (text::count(found.columns as u64)) }
        dt { "spectral norm" } dd { (at_least) (long(found.norm)) }
        @if let Some(value) = found.least { dt { "smallest singular value" } dd { (at_most) (long(value)) } }
        @if let Some(value) = found.condition() {
            dt { "condition number" }
            dd { @if value.is_infinite() { "∞: not of full rank" } @else { (at_least) (long(value)) } }
        }
        @if let Method::Lanczos { rows, error } = found.method {
            dt { "computed by" }
            dd {
                "16 Lanczos steps on "
                @if rows < found.rows { (text::count(rows as u64)) " evenly spaced rows" } @else { "all rows" }
                "; a singular value within " (text::short(error * 100.0)) " % of the norm"
            }
        }
    }
}

/// Returns a number with seven significant digits.
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
