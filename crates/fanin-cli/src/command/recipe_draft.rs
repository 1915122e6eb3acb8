//! `fanin recipe`: a draft for a person to mend, and the schema for their editor.

use std::path::Path;

use crate::args::Draft;
use crate::error::{Error, Result};
use crate::recipe::{draft, schema};
use crate::report;

pub(super) fn run(args: &Draft) -> Result {
    match &args.file {
        Some(file) => report::line(of(file)?.trim_end()),
        None => report::json(&schema::schema()),
    }
}

/// A recipe drafted for a checkpoint, a manifest or a built-in model.
///
/// # Errors
/// Whatever is wrong with the file; nothing to draft for.
pub fn of(file: &Path) -> Result<String> {
    let name = file.to_string_lossy();
    let manifest = super::manifest(file)?;
    if manifest.entries.is_empty() {
        return Err(Error::file(file, "there are no tensors to draft a recipe for"));
    }
    let values = manifest.entries.iter().any(|entry| entry.offsets.is_some());
    draft::draft(&manifest, &name, values)
}
