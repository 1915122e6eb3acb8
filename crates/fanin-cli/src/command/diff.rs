//! `fanin diff`: how two checkpoints differ.

use fanin_analysis::diff::{self, Difference};
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
        output::json(&found.to_json())?;
    } else {
        show(&found)?;
    }
    if found.is_same() { Ok(()) } else { Err(Error::CheckFailed) }
}

fn show(found: &diff::Diff) -> Result {
    let header = ["", "tensor", "type and shape", ">values", ">max |a-b|", ">|a-b|/|a|", ">cosine"];
    let mut shown = table::new(&header);
    for Difference { what, name, kind, examined, change } in &found.differences {
        let mut row = vec![(*what).to_owned(), text::escaped(name), kind.clone()];
        row.extend(match change {
            Some(_) if !examined => ["not examined", "", "", ""].map(str::to_owned),
            Some(change) => [
                text::count(change.values),
                text::short(change.max),
                text::short(change.relative()),
                format!("{:.6}", change.cosine()),
            ],
            None => [const { String::new() }; 4],
        });
        shown.add_row(row);
    }
    if !found.is_same() {
        output::line(format!("{}\n", table::text(&shown)))?;
    }
    let identical = text::counted(found.identical, "tensor");
    output::line(format!("{identical} identical, {} different", text::count(found.differences.len() as u64)))
}
