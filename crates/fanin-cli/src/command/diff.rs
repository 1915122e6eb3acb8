//! `fanin diff`, which compares two checkpoints.

use fanin_analysis::diff::{self, TensorDifference};
use fanin_recipe::text;

use super::input::open;
use crate::args::Diff;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};

pub(super) fn run(args: &Diff, quiet: bool) -> Result {
    let (a, b) = (open(&args.a, quiet)?, open(&args.b, quiet)?);
    let progress = TerminalProgress::new("comparing", a.manifest.bytes(), quiet);
    let found = diff::Diff::new(&a, &b, &progress);
    progress.finish();
    let found = found?;
    if args.json {
        output::json(&found.report())?;
    } else {
        show(&found)?;
    }
    if found.is_same() { Ok(()) } else { Err(Error::CheckFailed) }
}

fn show(found: &diff::Diff) -> Result {
    let header = ["", "tensor", "type and shape", ">values", ">max |a-b|", ">|a-b|/|a|", ">cosine"];
    let mut rows = table::new(&header);
    for TensorDifference { change, name, type_and_shape, examined, values } in &found.differences {
        let mut row = vec![(*change).to_owned(), text::escaped(name), type_and_shape.clone()];
        row.extend(match values {
            Some(_) if !examined => ["not examined", "", "", ""].map(str::to_owned),
            Some(values) => [
                text::count(values.values),
                text::short(values.max),
                // The relative difference is not finite if all values of `a` are 0. The cosine is NaN if all values of
                // `a` or all values of `b` are 0.
                finite(values.relative(), text::short),
                finite(values.cosine(), |cosine| format!("{cosine:.6}")),
            ],
            None => [const { String::new() }; 4],
        });
        rows.add_row(row);
    }
    if !found.is_same() {
        output::line(format!("{}\n", table::text(&rows)))?;
    }
    let identical = text::counted(found.identical, "tensor");
    output::line(format!("{identical} identical, {} different", text::count(found.differences.len() as u64)))
}

/// Returns a number as text, or a dash if it is infinite or NaN.
fn finite(x: f64, text: impl Fn(f64) -> String) -> String {
    if x.is_finite() { text(x) } else { "-".to_owned() }
}
