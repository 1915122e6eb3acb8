//! `fanin init --dry-run`, which shows what would be written, as a table of layers or as JSON.

use serde_json::{Value, json};

use crate::error::Result;
use crate::terminal::{output, table};
use fanin_analysis::describe;
use fanin_checkpoint::PlannedFile;
use fanin_recipe::manifest::StoredType;
use fanin_recipe::names::{Group, groups};
use fanin_recipe::recipe::{Action, Planned};
use fanin_recipe::text;

/// The name and version of the JSON format. The version changes if a key is removed or gets another meaning, but not if
/// a key is added.
const FORMAT: &str = "fanin-plan-1";

/// Groups tensors whose names differ only in their numbers, such as `h.0.weight` and `h.1.weight`. The tensors of a
/// group also have the same dtype, shape, rule and action, and are tied to the same tensor or to none.
fn grouped(planned: &[Planned]) -> Vec<Group> {
    let names: Vec<&str> = planned.iter().map(|planned| planned.entry.name.as_str()).collect();
    groups(&names, |index| {
        let Planned { entry, pattern, action, tied, .. } = &planned[index];
        (entry.dtype, &entry.shape, pattern, action.to_string(), tied)
    })
}

/// The number of tensors, the number of their values, and the number of bytes of these values.
type Counts = [u64; 3];

/// Returns, for each dtype, the counts of the tensors with this dtype. The dtype with the most bytes comes first.
fn by_dtype<'a>(planned: impl Iterator<Item = &'a Planned>) -> Vec<(StoredType, Counts)> {
    let mut dtypes: Vec<(StoredType, Counts)> = Vec::new();
    for Planned { entry, .. } in planned {
        let counts = [1, entry.values() as u64, entry.bytes()];
        match dtypes.iter_mut().find(|(dtype, _)| *dtype == entry.dtype) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            None => dtypes.push((entry.dtype, counts)),
        }
    }
    dtypes.sort_by_key(|(_, [_, _, bytes])| std::cmp::Reverse(*bytes));
    dtypes
}

fn total(dtypes: &[(StoredType, Counts)]) -> Counts {
    dtypes.iter().fold([0; 3], |total, (_, counts)| [0, 1, 2].map(|k| total[k] + counts[k]))
}

/// Returns the spec of a tensor. For a tied tensor, also names the tensor to which it is tied.
fn scheme(planned: &Planned) -> String {
    match &planned.tied {
        Some(canonical) => format!("{}, tied to {}", planned.action, text::escaped(canonical)),
        None => planned.action.to_string(),
    }
}

/// Formats a number. NaN, which means that the number is unknown, is shown as a dash.
fn number(x: f64) -> String {
    if x.is_nan() { "-".to_owned() } else { text::short(x) }
}

/// The maximum number of rows in the table of files.
const MAX_FILES: usize = 20;

/// Prints a table of the files if the checkpoint is written to a folder. Prints nothing otherwise.
fn show_files(files: &[PlannedFile]) -> Result {
    if files.is_empty() {
        return Ok(());
    }
    let mut rows = table::new(&["file", ">tensors", ">bytes", ""]);
    // A long list is shortened: the table shows the first files, the last file and the index.
    let shown = if files.len() > MAX_FILES { MAX_FILES - 3 } else { files.len() };
    let mut row = |name: &str, tensors: String, bytes: u64| {
        _ = rows.add_row([name.to_owned(), tensors, text::count(bytes), text::bytes(bytes)]);
    };
    let tensors =
        |file: &PlannedFile| if file.tensors > 0 { text::count(file.tensors as u64) } else { String::new() };
    for file in &files[..shown] {
        row(&file.name, tensors(file), file.bytes);
    }
    if shown < files.len() {
        let left = &files[shown..files.len() - 2];
        let name = format!("... and {} more", left.len());
        row(&name, String::new(), left.iter().map(|file| file.bytes).sum());
        files[files.len() - 2..].iter().for_each(|file| row(&file.name, tensors(file), file.bytes));
    }
    output::line(format!("\n{}", table::text(&rows).trim_start_matches('\n')))?;
    let bytes = files.iter().map(|file| file.bytes).sum();
    let count = text::counted(files.len() as u64, "file");
    output::line(format!("{count}, {} with their headers", text::bytes(bytes)))
}

/// Prints the table of tensors, the totals, the skipped tensors and the tied tensors. For a checkpoint in a folder,
/// also prints the table of files.
pub(super) fn show(planned: &[Planned], files: &[PlannedFile]) -> Result {
    let (skipped, written): (Vec<Planned>, Vec<Planned>) =
        planned.iter().cloned().partition(|planned| planned.action == Action::Skip);
    let mut rows =
        table::new(&["tensors", "shape", "dtype", "scheme", ">std", ">tensors", ">values", "rule"]);
    for Group { name, members } in grouped(&written) {
        let first = &written[members[0]];
        let shape = first.entry.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        rows.add_row([
            text::escaped(&name),
            format!("[{shape}]"),
            first.entry.dtype.to_string(),
            scheme(first),
            number(first.std()),
            members.len().to_string(),
            text::count((first.entry.values() * members.len()) as u64),
            text::escaped(&first.pattern),
        ]);
    }
    output::line(table::text(&rows))?;
    let dtypes = by_dtype(written.iter());
    let mut sums = table::new(&["", ">tensors", ">values", ">bytes", ""]);
    let line = |name: String, [tensors, values, bytes]: Counts| {
        [name, text::count(tensors), text::count(values), text::count(bytes), text::bytes(bytes)]
    };
    for (dtype, counts) in &dtypes {
        sums.add_row(line(dtype.to_string(), *counts));
    }
    if dtypes.len() != 1 {
        sums.add_row(line("total".to_owned(), total(&dtypes)));
    }
    output::line(format!("\n{}", table::text(&sums).trim_start_matches('\n')))?;
    for Group { name, members } in grouped(&skipped) {
        let count = text::counted(members.len() as u64, "tensor");
        output::line(format!("skipped: {} ({count})", text::escaped(&name)))?;
    }
    let tied: Vec<&Planned> = written.iter().filter(|planned| planned.tied.is_some()).collect();
    if !tied.is_empty() {
        let values: u64 = tied.iter().map(|planned| planned.entry.values() as u64).sum();
        output::line(format!(
            "{} of these values belong to {}",
            text::count(values),
            text::counted(tied.len() as u64, "tied tensor")
        ))?;
    }
    show_files(files)?;
    let [tensors, values, bytes] = total(&dtypes);
    output::line(format!(
        "{}, {}, {}. Nothing was written.",
        text::counted(tensors, "tensor"),
        text::counted(values, "value"),
        text::bytes(bytes)
    ))
}

/// Returns the plan as JSON.
pub(super) fn as_json(planned: &[Planned], files: &[PlannedFile]) -> Value {
    let one = |planned: &Planned| {
        json!({
            "name": planned.entry.name, "dtype": planned.entry.dtype, "shape": planned.entry.shape,
            "values": planned.entry.values(), "bytes": planned.entry.bytes(),
            "rule": planned.pattern, "scheme": planned.action.to_string(), "tied": planned.tied,
            "distribution": planned.plan.as_ref().map(describe::text), "mean": planned.mean(), "std": planned.std(),
        })
    };
    let group = |Group { name, members }: &Group| {
        let first = &planned[members[0]];
        json!({
            "name": name, "dtype": first.entry.dtype, "shape": first.entry.shape,
            "scheme": first.action.to_string(), "rule": first.pattern, "tied": first.tied, "std": first.std(),
            "tensors": members.iter().map(|&member| planned[member].entry.name.as_str()).collect::<Vec<_>>(),
        })
    };
    let sums =
        |[tensors, values, bytes]: Counts| json!({ "tensors": tensors, "values": values, "bytes": bytes });
    let dtypes = by_dtype(planned.iter().filter(|planned| planned.action != Action::Skip));
    let mut totals = sums(total(&dtypes));
    let of_dtype = |(dtype, counts): &(StoredType, Counts)| {
        let mut sums = sums(*counts);
        sums["dtype"] = json!(dtype);
        sums
    };
    totals["dtypes"] = dtypes.iter().map(of_dtype).collect();
    let file =
        |file: &PlannedFile| json!({ "name": file.name, "tensors": file.tensors, "bytes": file.bytes });
    json!({
        "format": FORMAT, "totals": totals, "files": files.iter().map(file).collect::<Vec<_>>(),
        "groups": grouped(planned).iter().map(group).collect::<Vec<_>>(),
        "tensors": planned.iter().map(one).collect::<Vec<_>>(),
    })
}
