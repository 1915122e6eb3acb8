//! `fanin inspect`: what a checkpoint holds.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::input::{compare_with_recipe, open};
use crate::args::Inspect;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};
use fanin_analysis::check::model::ModelComparison;
use fanin_analysis::inspect::page::BEGIN;
use fanin_analysis::inspect::{self, Inspection};
use fanin_checkpoint::write_atomically;
use fanin_recipe::text;

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let recipe = args.recipe.as_deref();
    let comparison =
        recipe.map(|name| compare_with_recipe(name, &args.settings, &checkpoint.manifest)).transpose()?;
    let page = args.html.as_deref().map(Page::new).transpose()?;
    let spectra = (args.json || page.is_some()) && !args.no_spectra;
    let ModelComparison { planned, odd, missing, .. } = comparison.unwrap_or_default();
    let passes = if spectra { 2 } else { 1 };
    let progress = TerminalProgress::new("reading", checkpoint.manifest.bytes() * passes, quiet);
    let inspection = Inspection::take(&args.file, &checkpoint, recipe, planned, spectra, &progress);
    progress.finish();
    let mut inspection = inspection?;
    for (number, _, text) in odd {
        inspection.rows[number].findings.push(text);
    }
    inspection.missing = missing;
    if let Some(page) = &page {
        page.write(&inspection)?;
    }
    if args.json {
        return output::json(&inspection);
    }
    let findings = inspection
        .rows
        .iter()
        .flat_map(|row| row.findings.iter().map(|finding| (row.entry.name.as_str(), finding.clone())));
    let missing = inspection.missing.iter().map(|entry| (entry.name.as_str(), inspect::MISSING.to_owned()));
    output::warnings(findings.chain(missing), quiet);
    match page {
        Some(page) => {
            if !quiet {
                let tensors = text::counted(inspection.rows.len() as u64, "tensor");
                output::message(format_args!("{}: {tensors} on one page", page.path.display()));
            }
            Ok(())
        }
        None => show(&inspection),
    }
}

/// Where a page goes: settled before a checkpoint is read, which may take minutes.
struct Page {
    path: PathBuf,
}

impl Page {
    /// The file of that name, which is a page already or is not there.
    fn new(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(Error::file(path, "is a folder: name a file in it, as --html report.html"));
        }
        if !folder.is_dir() {
            return Err(Error::file(folder, "there is no such folder to write the page to: make it first"));
        }
        if !path.exists() {
            return Ok(Self { path: path.to_owned() });
        }
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        let mut begin = vec![0; BEGIN.len()];
        let page = path.is_file()
            && std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
            && begin == BEGIN.as_bytes();
        if !page {
            let message = "exists already and is no page of fanin's, which alone would be replaced: remove it, or \
                           choose another name";
            return Err(Error::file(&path, message));
        }
        Ok(Self { path })
    }

    fn write(&self, inspection: &Inspection) -> Result {
        Ok(write_atomically(&self.path, inspection.page().as_bytes())?)
    }
}

/// The table.
fn show(inspection: &Inspection) -> Result {
    let manifest = &inspection.manifest;
    for (key, value) in manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe") {
        output::line(text::escaped(&format!("{key}: {value}")))?;
    }
    let with_plan = inspection.recipe.is_some();
    let mut header = vec!["tensor", "dtype", "shape"];
    if with_plan {
        header.extend(["scheme", ">planned mean", ">planned std"]);
    }
    header.extend([">mean", ">std", ">min", ">max", ">zeros", ">NaN, inf", "histogram"]);
    let mut shown = table::new(&header);
    // Where no value is finite there is no mean of them.
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), text::short);
    for row in &inspection.rows {
        let (entry, stats) = (&row.entry, &row.stats);
        let planned = row.planned.as_ref();
        let mut row = vec![text::escaped(&entry.name), entry.dtype.to_string(), text::shape(&entry.shape)];
        if let Some(planned) = planned {
            row.push(planned.action.to_string());
            row.extend([planned.mean(), planned.std()].map(text::short));
        } else if with_plan {
            row.extend([const { String::new() }; 3]);
        }
        row.extend([stats.mean(), stats.std(), stats.min(), stats.max()].map(number));
        row.push(text::count(stats.zeros));
        row.push(text::count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        shown.add_row(row);
    }
    output::line(table::text(&shown))?;
    let total = inspection.total();
    output::line(format!(
        "\n{}, {}, {}",
        text::counted(total.tensors, "tensor"),
        text::counted(total.values, "value"),
        text::bytes(total.bytes)
    ))
}
