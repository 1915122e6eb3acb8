//! `fanin inspect`: what a checkpoint holds.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{held, open};
use crate::args::Inspect;
use crate::check::model::Held;
use crate::checkpoint::write_whole;
use crate::error::{Error, Result};
use crate::report::{self, numbers, table};
use crate::survey::page::BEGIN;
use crate::survey::{self, Survey};

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let recipe = args.recipe.as_deref();
    let held = recipe.map(|name| held(name, &args.settings, &checkpoint.manifest, None)).transpose()?;
    let page = args.html.as_deref().map(Page::new).transpose()?;
    let spectra = (args.json || page.is_some()) && !args.no_spectra;
    let Held { planned, odd, missing, .. } = held.unwrap_or_default();
    let mut survey = Survey::take(&args.file, &checkpoint, recipe, planned, spectra, quiet)?;
    for (number, _, text) in odd {
        survey.rows[number].findings.push(text);
    }
    survey.missing = missing;
    if let Some(page) = &page {
        page.write(&survey)?;
    }
    if args.json {
        return report::json(&survey);
    }
    let findings = survey
        .rows
        .iter()
        .flat_map(|row| row.findings.iter().map(|finding| (row.entry.name.as_str(), finding.clone())));
    let missing = survey.missing.iter().map(|entry| (entry.name.as_str(), survey::MISSING.to_owned()));
    report::warnings(findings.chain(missing), quiet);
    match page {
        Some(page) => {
            if !quiet {
                let tensors = numbers::counted(survey.rows.len() as u64, "tensor");
                report::say(format_args!("{}: {tensors} on one page", page.path.display()));
            }
            Ok(())
        }
        None => show(&survey),
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

    fn write(&self, survey: &Survey) -> Result {
        write_whole(&self.path, survey.page().as_bytes())
    }
}

/// The table.
fn show(survey: &Survey) -> Result {
    let manifest = &survey.manifest;
    for (key, value) in manifest.metadata.iter().filter(|(key, _)| key != "fanin.recipe") {
        report::line(table::shown(&format!("{key}: {value}")))?;
    }
    let with_plan = survey.recipe.is_some();
    let mut header = vec!["tensor", "dtype", "shape"];
    if with_plan {
        header.extend(["scheme", ">planned mean", ">planned std"]);
    }
    header.extend([">mean", ">std", ">min", ">max", ">zeros", ">NaN, inf", "histogram"]);
    let mut shown = table::new(&header);
    // Where no value is finite there is no mean of them.
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), numbers::short);
    for row in &survey.rows {
        let (entry, stats) = (&row.entry, &row.stats);
        let planned = row.planned.as_ref();
        let mut row = vec![table::shown(&entry.name), entry.dtype.to_string(), numbers::shape(&entry.shape)];
        if let Some(planned) = planned {
            row.push(planned.init.to_string());
            row.extend([planned.mean(), planned.std()].map(numbers::short));
        } else if with_plan {
            row.extend([const { String::new() }; 3]);
        }
        row.extend([stats.mean(), stats.std(), stats.min(), stats.max()].map(number));
        row.push(numbers::count(stats.zeros));
        row.push(numbers::count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        shown.add_row(row);
    }
    report::line(table::text(&shown))?;
    let total = survey.total();
    report::line(format!(
        "\n{}, {}, {}",
        numbers::counted(total.tensors, "tensor"),
        numbers::counted(total.values, "value"),
        numbers::bytes(total.bytes)
    ))
}
