//! `fanin diff`: how two checkpoints differ.

use serde_json::json;

use super::open;
use crate::args::Diff;
use crate::check::compare::Change;
use crate::error::{Error, Result};
use crate::manifest::Entry;
use crate::report::{self, numbers, progress::Progress, table};

/// A tensor that differs.
struct Row {
    what: &'static str,
    name: String,
    kind: String,
    /// Whether its values are read as numbers.
    read: bool,
    change: Option<Change>,
}

impl Row {
    fn new(what: &'static str, entry: &Entry, kind: String, change: Option<Change>) -> Self {
        Self { what, name: entry.name.clone(), kind, read: entry.dtype.is_read(), change }
    }
}

pub(super) fn run(args: &Diff, quiet: bool) -> Result {
    let (a, b) = (open(&args.a, quiet)?, open(&args.b, quiet)?);
    let mut rows: Vec<Row> = Vec::new();
    let mut identical = 0u64;
    let (left, right) = (&a.manifest.entries, &b.manifest.entries);
    let places: std::collections::HashMap<&str, usize> =
        right.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
    let known: std::collections::HashSet<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
    let progress = Progress::new("comparing", a.manifest.bytes(), quiet);
    let kind = |entry: &Entry| format!("{} {}", entry.dtype, numbers::shape(&entry.shape));
    for (number, entry) in left.iter().enumerate() {
        let Some(&place) = places.get(entry.name.as_str()) else {
            rows.push(Row::new("removed", entry, kind(entry), None));
            continue;
        };
        let other = &right[place];
        if entry.shape != other.shape || entry.dtype != other.dtype {
            let what = match (entry.shape == other.shape, entry.dtype == other.dtype) {
                (true, _) => "retyped",
                (false, true) => "reshaped",
                (false, false) => "reshaped, retyped",
            };
            rows.push(Row::new(what, entry, format!("{} -> {}", kind(entry), kind(other)), None));
            continue;
        }
        let seen = |bytes: u64| progress.add(bytes * 8 / entry.dtype.bits() as u64, bytes);
        match Change::of([&a, &b], [number, place], seen)? {
            Some(change) => rows.push(Row::new("changed", entry, kind(entry), Some(change))),
            None => identical += 1,
        }
    }
    progress.done();
    for entry in right.iter().filter(|entry| !known.contains(entry.name.as_str())) {
        rows.push(Row::new("added", entry, kind(entry), None));
    }
    let same = rows.is_empty();
    if args.json {
        let tensors: Vec<_> = rows
            .iter()
            .map(|Row { what, name, kind, read, change }| {
                json!({
                    "name": name, "what": what, "kind": kind,
                    "examined": *read,
                    "values_changed": change.as_ref().filter(|_| *read).map(|change| change.values),
                    "max": change.as_ref().filter(|_| *read).map(|change| change.max),
                    "relative": change.as_ref().filter(|_| *read).map(Change::relative),
                    "cosine": change.as_ref().filter(|_| *read).map(Change::cosine),
                })
            })
            .collect();
        report::json(&json!({ "same": same, "identical": identical, "tensors": tensors }))?;
    } else {
        let header = ["", "tensor", "type and shape", ">values", ">max |a-b|", ">|a-b|/|a|", ">cosine"];
        let mut shown = table::new(&header);
        for Row { what, name, kind, read, change } in &rows {
            let mut row = vec![(*what).to_owned(), table::shown(name), kind.clone()];
            row.extend(match change {
                Some(_) if !read => ["not examined", "", "", ""].map(str::to_owned),
                Some(change) => [
                    numbers::count(change.values),
                    numbers::short(change.max),
                    numbers::short(change.relative()),
                    format!("{:.6}", change.cosine()),
                ],
                None => [const { String::new() }; 4],
            });
            shown.add_row(row);
        }
        if !same {
            report::line(format!("{}\n", table::text(&shown)))?;
        }
        let identical = numbers::counted(identical, "tensor");
        report::line(format!("{identical} identical, {} different", numbers::count(rows.len() as u64)))?;
    }
    if same { Ok(()) } else { Err(Error::No) }
}
