//! `fanin inspect`, which shows the tensors of a checkpoint.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::input::{compare_with_recipe, open};
use crate::args::Inspect;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};
use fanin_analysis::describe::short_numbers;
use fanin_analysis::inspect::{self, Inspection, PAGE_BEGIN};
use fanin_checkpoint::write_atomically;
use fanin_recipe::text;

pub(super) fn run(args: &Inspect, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let recipe = args.recipe.as_deref();
    let comparison = recipe
        .map(|name| compare_with_recipe(name, &args.settings, &checkpoint.manifest))
        .transpose()?
        .unwrap_or_default();
    let page = args.html.as_deref().map(Page::new).transpose()?;
    let spectra = (args.json || page.is_some()) && !args.no_spectra;
    let passes = if spectra { 2 } else { 1 };
    let progress = TerminalProgress::new("reading", checkpoint.manifest.bytes() * passes, quiet);
    let file = args.file.display().to_string();
    let request = inspect::Request { file: &file, recipe, comparison, spectra };
    let inspection = Inspection::new(&checkpoint, request, &progress);
    progress.finish();
    let inspection = inspection?;
    if let Some(page) = &page {
        page.write(&inspection)?;
    }
    if args.json {
        return output::json(&inspection);
    }
    let warnings = inspection.tensors.iter().flat_map(|tensor| {
        tensor.warnings.iter().map(|warning| (tensor.entry.name.as_str(), warning.clone()))
    });
    let missing = inspection.missing.iter().map(|entry| (entry.name.as_str(), inspect::MISSING.to_owned()));
    output::warnings(warnings.chain(missing), quiet);
    match page {
        Some(page) => {
            if !quiet {
                let tensors = text::counted(inspection.tensors.len() as u64, "tensor");
                output::message(format_args!("{}: {tensors} on one page", page.path.display()));
            }
            Ok(())
        }
        None => show(&inspection),
    }
}

/// The file for an HTML page. The path is checked before the checkpoint is read, because reading can take minutes.
struct Page {
    path: PathBuf,
}

impl Page {
    /// Checks that a page can be written to `path`. Writes nothing.
    ///
    /// # Errors
    /// Returns an error if `path` is a folder, if the parent folder does not exist, or if `path` is an existing file
    /// that is not a page of fanin.
    fn new(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() {
            return Err(Error::file(
                path,
                "is a folder: give the name of a file, such as --html report.html",
            ));
        }
        if !folder.is_dir() {
            return Err(Error::file(folder, "cannot write the page: no such folder; create it first"));
        }
        if !path.exists() {
            return Ok(Self { path: path.to_owned() });
        }
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        let mut begin = vec![0; PAGE_BEGIN.len()];
        let page = path.is_file()
            && std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
            && begin == PAGE_BEGIN.as_bytes();
        if !page {
            let message = "already exists and is not a page written by fanin, so it is not replaced: remove it, or choose \
                           another name";
            return Err(Error::file(&path, message));
        }
        Ok(Self { path })
    }

    fn write(&self, inspection: &Inspection) -> Result {
        Ok(write_atomically(&self.path, inspection.to_html().as_bytes())?)
    }
}

/// Prints the metadata of the checkpoint, the table of its tensors, and the totals.
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
    let mut rows = table::new(&header);
    // A tensor without finite values has no mean.
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), text::short);
    for tensor in &inspection.tensors {
        let (entry, stats) = (&tensor.entry, &tensor.stats);
        let planned = tensor.planned.as_ref();
        let mut row = vec![text::escaped(&entry.name), entry.dtype.to_string(), text::shape(&entry.shape)];
        if let Some(planned) = planned {
            row.push(short_numbers(&planned.action.to_string()));
            row.extend([planned.mean(), planned.std()].map(text::short));
        } else if with_plan {
            row.extend([const { String::new() }; 3]);
        }
        row.extend([stats.mean(), stats.std(), stats.min(), stats.max()].map(number));
        let count = |count| tensor.count(count).map_or_else(|| "-".to_owned(), text::count);
        row.push(count(stats.zeros));
        row.push(count(stats.nans + stats.infinite));
        row.push(stats.sparkline());
        rows.add_row(row);
    }
    output::line(table::text(&rows))?;
    let total = inspection.total();
    output::line(format!(
        "\n{}, {}, {}",
        text::counted(total.tensors, "tensor"),
        text::counted(total.values, "value"),
        text::bytes(total.bytes)
    ))
}
