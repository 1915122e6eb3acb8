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
        if !entry.dtype.is_read() {
            self.bytes_differ |= left != right;
            return;
        }
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

pub(super) fn run(args: &Diff) -> Result {
    let (mut a, mut b) = (Checkpoints::open(&args.a)?, Checkpoints::open(&args.b)?);
    let mut rows: Vec<Row> = Vec::new();
    let mut identical = 0u64;
    let (left, right) = (a.manifest.entries.clone(), b.manifest.entries.clone());
    let places: std::collections::HashMap<&str, usize> =
        right.iter().enumerate().map(|(number, entry)| (entry.name.as_str(), number)).collect();
    let known: std::collections::HashSet<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
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
        let change = Change::of(&mut a, &mut b, (number, place))?;
        if change.bytes_differ {
            rows.push(Row::new("changed", entry, kind(entry), Some(change)));
        } else {
            identical += 1;
        }
    }
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
            let mut row = vec![(*what).to_owned(), name.clone(), kind.clone()];
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
