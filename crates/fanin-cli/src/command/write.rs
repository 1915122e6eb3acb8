//! Functions with which `fanin init` and `fanin fill` write a checkpoint and report what was written.

use std::time::{Duration, Instant};

use fanin::CancelToken;
use fanin_checkpoint::{CheckpointPlan, Draw, Existing, OutputForm, Target, Written};
use fanin_recipe::{Planned, text};

use crate::args::Output;
use crate::error::{Error, Result};
use crate::terminal::output;
use crate::terminal::progress::TerminalProgress;

/// Returns the stream, the seed and the number of threads from the arguments.
pub(super) fn draw(output: &Output) -> Draw {
    Draw { stream: output.stream.into(), seed: output.seed.unwrap_or(0), threads: output.threads }
}

/// Returns the checked output path. Returns `None` for a dry run, or without `--output`.
pub(super) fn target(output: &Output, form: OutputForm, resume: bool) -> Result<Option<Target>> {
    match &output.output {
        Some(path) if !output.dry_run => {
            Ok(Some(Target::new(path, form, Existing { force: output.force, resume })?))
        }
        _ => Ok(None),
    }
}

/// Checks the output path of a dry run. Prints a note if writing would fail, for example because a file exists.
pub(super) fn note_obstacles(plan: &CheckpointPlan, output: &Output, resume: bool, quiet: bool) {
    let Some(path) = output.output.as_ref().filter(|_| !quiet) else { return };
    let target = Target::new(path, plan.partitioning.form(), Existing { force: output.force, resume });
    if let Err(error) = target.and_then(|target| plan.check_target(&target)) {
        let error = Error::from(error);
        output::message(format_args!("\u{1b}[1mnote:\u{1b}[0m without --dry-run this would fail: {error}"));
    }
}

/// Writes the checkpoint, and prints a summary. Shows a progress bar if standard error is a terminal.
pub(super) fn write(plan: &CheckpointPlan, target: Option<Target>, quiet: bool) -> Result {
    let target = target.ok_or_else(|| Error::Request("no output: add -o OUT.safetensors".to_owned()))?;
    let progress = TerminalProgress::new("writing", plan.bytes(), quiet);
    let start = Instant::now();
    // This token is never cancelled, because an interrupt ends the whole process (see `interrupt`).
    let written = plan.write(&target, &progress, &CancelToken::new());
    progress.finish();
    let written = written?;
    if !quiet {
        print_summary(plan, &target, &written, start.elapsed());
    }
    Ok(())
}

/// Prints the number of files, tensors, values and bytes that were written.
fn print_summary(plan: &CheckpointPlan, target: &Target, written: &Written, elapsed: Duration) {
    let mut files = String::new();
    if written.files > 1 {
        files = format!("{} of {} files, ", written.written + written.kept, written.files);
    }
    if written.kept > 0 {
        files.push_str(&format!("{} already complete, kept, ", written.kept));
    }
    output::message(format_args!(
        "{}: {files}{}, {}, {} in {:.1} s (seed {}, {} stream)",
        target.path().display(),
        text::counted(written.tensors, "tensor"),
        text::counted(written.values, "value"),
        text::bytes(written.bytes),
        elapsed.as_secs_f64(),
        plan.draw.seed,
        plan.draw.stream.name(),
    ));
    if written.missing_partitions > 0 {
        output::message(format_args!(
            "{}: not complete yet, {} missing; the last partition renames the file to its final name",
            target.path().display(),
            text::counted(written.missing_partitions as u64, "partition")
        ));
    }
}

/// Prints the warnings of the tensors' plans, unless `quiet` is true.
pub(super) fn warn(planned: &[Planned], quiet: bool) {
    let warnings = planned.iter().flat_map(|planned| {
        let warnings = planned.plan.iter().flat_map(|plan| plan.warnings());
        warnings.map(|warning| (planned.entry.name.as_str(), warning.to_string()))
    });
    output::warnings(warnings, quiet);
}
