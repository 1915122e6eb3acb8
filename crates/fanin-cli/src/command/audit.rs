//! `fanin audit`, which classifies the tensors of a checkpoint. No recipe is needed.

use fanin_analysis::audit::Audit;
use fanin_recipe::text;

use super::input::open;
use crate::args;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};

pub(super) fn run(args: &args::Audit, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let progress = TerminalProgress::new("reading", checkpoint.manifest.bytes(), quiet);
    let audit = Audit::new(&checkpoint, &progress);
    progress.finish();
    let audit = audit?;
    if args.json {
        output::json(&audit.report(&args.file.display().to_string()))?;
    } else {
        show(&audit)?;
    }
    if audit.failed() == 0 { Ok(()) } else { Err(Error::CheckFailed) }
}

fn show(audit: &Audit) -> Result {
    let mut rows = table::new(&["tensor", "shape", ">std", "kind", "distribution", "possible schemes"]);
    for tensor in &audit.tensors {
        let mut schemes = tensor.schemes();
        schemes.truncate(2);
        rows.add_row([
            text::escaped(&tensor.entry.name),
            text::shape(&tensor.entry.shape),
            tensor.classification.std.map_or_else(|| "-".to_owned(), text::short),
            tensor.kind().to_owned(),
            tensor.distribution(),
            schemes.join(" or "),
        ]);
    }
    output::line(table::text(&rows))?;
    for tensor in &audit.tensors {
        for note in tensor.classification.problems.iter().chain(&tensor.classification.notes) {
            output::line(format!("\n{}: {}", text::escaped(&tensor.entry.name), text::escaped(note)))?;
        }
    }
    let tensors = text::counted(audit.tensors.len() as u64, "tensor");
    output::line(format!(
        "\n{tensors}: {} freshly initialized, {} compatible with fresh, {} trained or of no known distribution, \
         {} with problems",
        audit.fresh() - audit.compatible(),
        audit.compatible(),
        audit.other(),
        audit.failed()
    ))
}
