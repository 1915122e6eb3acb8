//! `fanin diff`: how two checkpoints differ.

use serde_json::json;

use crate::args::Diff;
use crate::checkpoint::read::decode;
use crate::checkpoint::set::Checkpoints;
use crate::error::{Error, Result};
use crate::manifest::Entry;
use crate::report::{self, numbers, table};

/// Sums over the pairs of values of one tensor in two files.
#[derive(Default)]
struct Change {
    bytes_differ: bool,
    values: u64,
    max: f64,
    /// Of the differences and of the two sides: sums of squares and of products.
    difference: f64,
    a: f64,
    b: f64,
    product: f64,
}

impl Change {
    fn of(a: &mut Checkpoints, b: &mut Checkpoints, numbers: (usize, usize)) -> Result<Self> {
        let entry = a.manifest.entries[numbers.0].clone();
        let mut change = Change::default();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < entry.bytes() {
            let now = (entry.bytes() - at).min(1 << 22) as usize;
            left.resize(now, 0);
            right.resize(now, 0);
            // Two files, two threads.
            std::thread::scope(|scope| {
                let other = scope.spawn(|| b.read(numbers.1, at, &mut right));
                let one = a.read(numbers.0, at, &mut left);
                one.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })?;
            change.add(&entry, &left, &right);
            at += now as u64;
        }
        Ok(change)
    }

    fn add(&mut self, entry: &Entry, left: &[u8], right: &[u8]) {
        let a = decode(entry.dtype, left);
        if left == right {
            let squares: f64 = a.iter().map(|x| x * x).sum();
            self.a += squares;
            self.b += squares;
            self.product += squares;
            return;
        }
        self.bytes_differ = true;
        let size = entry.dtype.size();
        for (k, (x, y)) in a.into_iter().zip(decode(entry.dtype, right)).enumerate() {
            self.values += u64::from(left[k * size..(k + 1) * size] != right[k * size..(k + 1) * size]);
            let away = (x - y).abs();
            if away > self.max || away.is_nan() {
                self.max = away;
            }
            self.difference += away * away;
            self.a += x * x;
            self.b += y * y;
            self.product += x * y;
        }
    }

    /// |a - b| / |a|, in Euclid's norm.
    fn relative(&self) -> f64 {
        (self.difference / self.a).sqrt()
    }

    fn cosine(&self) -> f64 {
        self.product / (self.a * self.b).sqrt()
    }
}

pub(super) fn run(args: &Diff) -> Result {
    let (mut a, mut b) = (Checkpoints::open(&args.a)?, Checkpoints::open(&args.b)?);
    let mut rows: Vec<(&'static str, String, String, Option<Change>)> = Vec::new();
    let mut identical = 0u64;
    let (left, right) = (a.manifest.entries.clone(), b.manifest.entries.clone());
    let places: std::collections::HashMap<&str, usize> =
        right.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
    let known: std::collections::HashSet<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
    let kind = |entry: &Entry| format!("{} {}", entry.dtype, numbers::shape(&entry.shape));
    for (number, entry) in left.iter().enumerate() {
        let name = entry.name.clone();
        let Some(&place) = places.get(entry.name.as_str()) else {
            rows.push(("removed", name, kind(entry), None));
            continue;
        };
        let other = &right[place];
        if entry.shape != other.shape || entry.dtype != other.dtype {
            let what = match (entry.shape == other.shape, entry.dtype == other.dtype) {
                (true, _) => "retyped",
                (false, true) => "reshaped",
                (false, false) => "reshaped, retyped",
            };
            rows.push((what, name, format!("{} -> {}", kind(entry), kind(other)), None));
            continue;
        }
        let change = Change::of(&mut a, &mut b, (number, place))?;
        if change.bytes_differ {
            rows.push(("changed", name, kind(entry), Some(change)));
        } else {
            identical += 1;
        }
    }
    for entry in right.iter().filter(|entry| !known.contains(entry.name.as_str())) {
        rows.push(("added", entry.name.clone(), kind(entry), None));
    }
    let same = rows.is_empty();
    if args.json {
        let tensors: Vec<_> = rows
            .iter()
            .map(|(what, name, kind, change)| {
                json!({
                    "name": name, "what": what, "kind": kind,
                    "values_changed": change.as_ref().map(|change| change.values),
                    "max": change.as_ref().map(|change| change.max),
                    "relative": change.as_ref().map(Change::relative),
                    "cosine": change.as_ref().map(Change::cosine),
                })
            })
            .collect();
        report::json(&json!({ "same": same, "identical": identical, "tensors": tensors }))?;
    } else {
        let header = ["", "tensor", "type and shape", ">values", ">max |a-b|", ">|a-b|/|a|", ">cosine"];
        let mut shown = table::new(&header);
        for (what, name, kind, change) in &rows {
            let mut row = vec![(*what).to_owned(), name.clone(), kind.clone()];
            row.extend(match change {
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
