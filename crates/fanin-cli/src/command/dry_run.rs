//! `fanin init --dry-run`: what would be written, as a table of a paper would tell it.

use serde_json::{Value, json};

use crate::error::Result;
use crate::terminal::{output, table};
use fanin_analysis::describe;
use fanin_checkpoint::PlannedFile;
use fanin_recipe::manifest::StoredType;
use fanin_recipe::names::{Group, groups};
use fanin_recipe::recipe::{Action, Planned};
use fanin_recipe::text;

/// The name of the JSON's form. It changes when a member changes its meaning or goes; new members may come.
const FORMAT: &str = "fanin-plan-1";

/// Tensors that differ in the numbers of their names only.
fn alike(planned: &[Planned]) -> Vec<Group> {
    let names: Vec<&str> = planned.iter().map(|planned| planned.entry.name.as_str()).collect();
    groups(&names, |number| {
        let Planned { entry, pattern, action, tied, .. } = &planned[number];
        (entry.dtype, &entry.shape, pattern, action.to_string(), tied)
    })
}

/// Tensors, values and bytes of each type, the one with the most bytes first.
fn by_type<'a>(planned: impl Iterator<Item = &'a Planned>) -> Vec<(StoredType, [u64; 3])> {
    let mut types: Vec<(StoredType, [u64; 3])> = Vec::new();
    for Planned { entry, .. } in planned {
        let more = [1, entry.values() as u64, entry.bytes()];
        match types.iter_mut().find(|(dtype, _)| *dtype == entry.dtype) {
            Some((_, sums)) => sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more),
            None => types.push((entry.dtype, more)),
        }
    }
    types.sort_by_key(|(_, [_, _, bytes])| std::cmp::Reverse(*bytes));
    types
}

fn total(types: &[(StoredType, [u64; 3])]) -> [u64; 3] {
    types.iter().fold([0; 3], |total, (_, sums)| [0, 1, 2].map(|k| total[k] + sums[k]))
}

/// The scheme in words, with what is not in its spec.
fn scheme(planned: &Planned) -> String {
    match &planned.tied {
        Some(first) => format!("{}, tied to {}", planned.action, text::escaped(first)),
        None => planned.action.to_string(),
    }
}

fn number(x: f64) -> String {
    if x.is_nan() { "-".to_owned() } else { text::short(x) }
}

/// Lines of a table of files, before it is cut short.
const FILES: usize = 20;

/// The files of a checkpoint that is more than one.
fn show_files(files: &[PlannedFile]) -> Result {
    if files.is_empty() {
        return Ok(());
    }
    let mut rows = table::new(&["file", ">tensors", ">bytes", ""]);
    // Of many the first ones, and the last with the index.
    let shown = if files.len() > FILES { FILES - 3 } else { files.len() };
    let mut row = |name: &str, tensors: String, bytes: u64| {
        _ = rows.add_row([name.to_owned(), tensors, text::count(bytes), text::bytes(bytes)]);
    };
    let told =
        |file: &PlannedFile| if file.tensors > 0 { text::count(file.tensors as u64) } else { String::new() };
    for file in &files[..shown] {
        row(&file.name, told(file), file.bytes);
    }
    if shown < files.len() {
        let left = &files[shown..files.len() - 2];
        let name = format!("... and {} more", left.len());
        row(&name, String::new(), left.iter().map(|file| file.bytes).sum());
        files[files.len() - 2..].iter().for_each(|file| row(&file.name, told(file), file.bytes));
    }
    output::line(format!("\n{}", table::text(&rows).trim_start_matches('\n')))?;
    let bytes = files.iter().map(|file| file.bytes).sum();
    let count = text::counted(files.len() as u64, "file");
    output::line(format!("{count}, {} with their headers", text::bytes(bytes)))
}

/// The table. What is skipped stands below it, and the files if they are told.
pub(super) fn show(planned: &[Planned], files: &[PlannedFile]) -> Result {
    let (skipped, written): (Vec<Planned>, Vec<Planned>) =
        planned.iter().cloned().partition(|planned| planned.action == Action::Skip);
    let mut rows =
        table::new(&["tensors", "shape", "dtype", "scheme", ">std", ">tensors", ">values", "rule"]);
    for Group { name, members } in alike(&written) {
        let one = &written[members[0]];
        let shape = one.entry.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        rows.add_row([
            text::escaped(&name),
            format!("[{shape}]"),
            one.entry.dtype.to_string(),
            scheme(one),
            number(one.std()),
            members.len().to_string(),
            text::count((one.entry.values() * members.len()) as u64),
            text::escaped(&one.pattern),
        ]);
    }
    output::line(table::text(&rows))?;
    let types = by_type(written.iter());
    let mut sums = table::new(&["", ">tensors", ">values", ">bytes", ""]);
    let line = |name: String, [tensors, values, bytes]: [u64; 3]| {
        [name, text::count(tensors), text::count(values), text::count(bytes), text::bytes(bytes)]
    };
    for (dtype, of) in &types {
        sums.add_row(line(dtype.to_string(), *of));
    }
    if types.len() != 1 {
        sums.add_row(line("total".to_owned(), total(&types)));
    }
    output::line(format!("\n{}", table::text(&sums).trim_start_matches('\n')))?;
    for Group { name, members } in alike(&skipped) {
        let count = text::counted(members.len() as u64, "tensor");
        output::line(format!("skipped: {} ({count})", text::escaped(&name)))?;
    }
    let tied: Vec<&Planned> = written.iter().filter(|planned| planned.tied.is_some()).collect();
    if let [_, ..] = tied.as_slice() {
        let values: u64 = tied.iter().map(|planned| planned.entry.values() as u64).sum();
        output::line(format!(
            "{} of these values are those of {} under another name",
            text::count(values),
            text::counted(tied.len() as u64, "tied tensor")
        ))?;
    }
    show_files(files)?;
    let [tensors, values, bytes] = total(&types);
    output::line(format!(
        "{}, {}, {}. Nothing was written.",
        text::counted(tensors, "tensor"),
        text::counted(values, "value"),
        text::bytes(bytes)
    ))
}

/// The same for programs.
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
        |[tensors, values, bytes]: [u64; 3]| json!({ "tensors": tensors, "values": values, "bytes": bytes });
    let types = by_type(planned.iter().filter(|planned| planned.action != Action::Skip));
    let mut totals = sums(total(&types));
    let of_type = |(dtype, of): &(StoredType, [u64; 3])| {
        let mut sums = sums(*of);
        sums["dtype"] = json!(dtype);
        sums
    };
    totals["dtypes"] = types.iter().map(of_type).collect();
    let file =
        |file: &PlannedFile| json!({ "name": file.name, "tensors": file.tensors, "bytes": file.bytes });
    json!({
        "format": FORMAT, "totals": totals, "files": files.iter().map(file).collect::<Vec<_>>(),
        "groups": alike(planned).iter().map(group).collect::<Vec<_>>(),
        "tensors": planned.iter().map(one).collect::<Vec<_>>(),
    })
}
