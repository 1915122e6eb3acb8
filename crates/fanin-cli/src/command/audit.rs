//! `fanin audit`: what the tensors of a checkpoint look like, without a recipe.

use std::collections::HashMap;

use serde_json::json;

use super::open;
use crate::args::Audit;
use crate::check::law::Draw;
use crate::check::portrait::{self, Look, Portrait};
use crate::error::{Error, Result};
use crate::manifest::Entry;
use crate::report::{self, numbers, progress::Progress, table};

pub(super) fn run(args: &Audit, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let manifest = checkpoint.manifest.clone();
    let progress = Progress::new("looking", manifest.bytes(), quiet);
    let mut portraits = Vec::new();
    let mut same: HashMap<(u64, usize), usize> = HashMap::new();
    for (number, entry) in manifest.entries.iter().enumerate() {
        let size = entry.dtype.size() as u64;
        let mut portrait =
            portrait::of(&checkpoint, number, |values| progress.add(values as u64, values as u64 * size))?;
        // Constants are alike everywhere.
        if matches!(portrait.look, Look::Fresh(_) | Look::Orthogonal(_) | Look::Other | Look::Few)
            && entry.values() > 3
            && let Some(twin) = same.insert((portrait.hash, entry.values()), number)
        {
            portrait.problems.push(format!("the very values of {}", manifest.entries[twin].name));
        }
        portraits.push(portrait);
    }
    progress.done();
    let wrong = portraits.iter().filter(|portrait| !portrait.problems.is_empty()).count();
    let fresh = portraits.iter().filter(|p| matches!(p.look, Look::Fresh(_) | Look::Orthogonal(_))).count();
    let other = portraits.iter().filter(|p| p.look == Look::Other).count();
    let rows = || manifest.entries.iter().zip(&portraits);
    if args.json {
        let tensors: Vec<_> = rows()
            .map(|(entry, portrait)| {
                json!({
                    "name": entry.name, "dtype": entry.dtype, "shape": entry.shape, "look": kind(&portrait.look),
                    "law": law(entry, portrait), "schemes": schemes(entry, portrait), "problems": portrait.problems,
                    "notes": portrait.notes,
                    "mean": portrait.mean, "std": portrait.std, "zeros": portrait.zeros,
                })
            })
            .collect();
        report::json(
            &json!({ "file": args.file.display().to_string(), "good": wrong == 0, "tensors": tensors }),
        )?;
    } else {
        let mut shown = table::new(&["tensor", "shape", ">std", "looks", "law", "as from"]);
        for (entry, portrait) in rows() {
            let mut schemes = schemes(entry, portrait);
            schemes.truncate(2);
            shown.add_row([
                table::shown(&entry.name),
                numbers::shape(&entry.shape),
                numbers::short(portrait.std),
                kind(&portrait.look).to_owned(),
                law(entry, portrait),
                schemes.join(" or "),
            ]);
        }
        report::line(table::text(&shown))?;
        for (entry, portrait) in rows() {
            for text in portrait.problems.iter().chain(&portrait.notes) {
                report::line(format!("\n{}: {}", table::shown(&entry.name), table::shown(text)))?;
            }
        }
        let tensors = numbers::counted(manifest.entries.len() as u64, "tensor");
        report::line(format!(
            "\n{tensors}: {fresh} freshly drawn, {other} trained or of no known law, {wrong} with problems"
        ))?;
    }
    if wrong == 0 { Ok(()) } else { Err(Error::No) }
}

/// The look in a word or two.
fn kind(look: &Look) -> &'static str {
    match look {
        Look::Empty => "empty",
        Look::Integers => "integers",
        Look::Unread => "not examined",
        Look::Constant(_) => "one value",
        Look::ZerosAndOnes => "zeros and ones",
        Look::Few => "too few to tell",
        Look::Fresh(_) => "fresh",
        Look::Orthogonal(_) => "orthogonal",
        Look::Table(_) => "a table",
        Look::Other => "trained or other",
        Look::Garbage => "uninitialized",
    }
}

/// The part that is zero, if zeros are scattered over the tensor; rows of them are not.
fn sparse(entry: &Entry, portrait: &Portrait) -> Option<f64> {
    let width: usize = entry.shape.iter().skip(1).product();
    let scattered = portrait.zeros.saturating_sub((portrait.empty_rows * width) as u64);
    let part = scattered as f64 / entry.values() as f64;
    (part > 1e-3).then_some(part)
}

fn law(entry: &Entry, portrait: &Portrait) -> String {
    let short = numbers::short;
    let law = law_alone(&portrait.look);
    match (&portrait.look, sparse(entry, portrait)) {
        (Look::Fresh(draw @ Draw::Normal { mean, std, .. }), Some(part))
            if draw.is_normal() && *mean == 0.0 =>
        {
            format!("sparse(sparsity={part:.2}, std={})", short(*std))
        }
        (Look::Fresh(_), Some(part)) => format!("{law}, {:.1} % zeros", part * 100.0),
        (Look::Fresh(_), None) if portrait.empty_rows == 1 => format!("{law}, a row of zeros"),
        _ => law,
    }
}

fn law_alone(look: &Look) -> String {
    let short = numbers::short;
    match look {
        Look::Table(what) => (*what).to_owned(),
        Look::Constant(value) => short(*value),
        Look::Orthogonal(gain) => format!("orthogonal(gain={})", short(*gain)),
        Look::Fresh(Draw::Uniform { low, high }) => format!("uniform(a={}, b={})", short(*low), short(*high)),
        Look::Fresh(draw @ Draw::Normal { mean, std, .. }) if draw.is_normal() => {
            let mean = if *mean == 0.0 { String::new() } else { format!("mean={}, ", short(*mean)) };
            format!("normal({mean}std={})", short(*std))
        }
        Look::Fresh(Draw::Normal { std, low, high, .. }) => {
            format!("trunc_normal(std={}, a={}, b={})", short(*std), short(*low), short(*high))
        }
        _ => String::new(),
    }
}

fn schemes(entry: &Entry, portrait: &Portrait) -> Vec<String> {
    match (&portrait.look, entry.dtype.float()) {
        (Look::Fresh(draw), Some(dtype)) => {
            portrait::schemes(draw, &entry.shape, entry.values() as u64, dtype, sparse(entry, portrait))
        }
        _ => Vec::new(),
    }
}
