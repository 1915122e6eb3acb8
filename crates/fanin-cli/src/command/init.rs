//! `fanin init`: an initial checkpoint from a recipe and a seed.

use fanin::CancelToken;
use fanin_checkpoint::{CheckpointPlan, Draw, Existing, Form, Partitioning, Request, Target};
use fanin_recipe::{Planned, Recipe, text};

use super::dry_run;
use crate::args::{Init, Output};
use crate::error::{Error, Result};
use crate::terminal::output;
use crate::terminal::progress::Bar;

pub(super) fn run(args: &Init, quiet: bool) -> Result {
    let (recipe, model) = Recipe::find(&args.recipe)?;
    let variable = |name: &str| std::env::var(name).ok();
    let partition = args.part.map(|part| part.resolve(variable)).transpose()?;
    let partitioning =
        Partitioning { max_shard_size: args.max_shard_size, partition, layout: args.layout.into() };
    let target = target(&args.output, partitioning.form(), args.resume)?;
    let request = Request {
        recipe: &recipe,
        model,
        like: args.like.as_deref(),
        settings: &args.settings,
        dtype: args.dtype,
        draw: draw(&args.output),
        partitioning,
    };
    let plan = request.plan()?;
    warn(&plan.planned, quiet);
    if args.output.dry_run {
        note_obstacles(&plan, &args.output, args.resume, quiet);
        return if args.json {
            output::json(&dry_run::as_json(&plan.all, &plan.files()))
        } else {
            dry_run::show(&plan.all, &plan.files())
        };
    }
    write_out(&plan, target, quiet)
}

/// How the values are drawn.
pub(super) fn draw(output: &Output) -> Draw {
    Draw { stream: output.stream.into(), seed: output.seed, threads: output.threads }
}

/// Where to write, checked before any work is done; `None` for a dry run.
pub(super) fn target(output: &Output, form: Form, resume: bool) -> Result<Option<Target>> {
    match &output.output {
        Some(path) if !output.dry_run => {
            Ok(Some(Target::new(path, form, Existing { force: output.force, resume })?))
        }
        _ => Ok(None),
    }
}

/// Reports what would prevent the run that a dry run stands for, if it has an output.
pub(super) fn note_obstacles(plan: &CheckpointPlan, output: &Output, resume: bool, quiet: bool) {
    let Some(path) = output.output.as_ref().filter(|_| !quiet) else { return };
    let target = Target::new(path, plan.partitioning.form(), Existing { force: output.force, resume });
    if let Err(error) = target.and_then(|target| plan.check_target(&target)) {
        let error = Error::from(error);
        output::say(format_args!("\u{1b}[1mnote:\u{1b}[0m the run itself would be refused: {error}"));
    }
}

/// Writes the checkpoint, with a progress bar on a terminal, and reports what was written.
pub(super) fn write_out(plan: &CheckpointPlan, target: Option<Target>, quiet: bool) -> Result {
    let target = target.ok_or_else(|| Error::Request("where to? add -o OUT.safetensors".to_owned()))?;
    let progress = Bar::new("writing", plan.bytes(), quiet);
    let start = std::time::Instant::now();
    // An interrupt ends this process, so nobody cancels the write.
    let written = plan.write(&target, &progress, &CancelToken::new());
    progress.done();
    let written = written?;
    if quiet {
        return Ok(());
    }
    let mut files = String::new();
    if written.files > 1 {
        let here = written.written + written.kept;
        files = format!("{here} of {} files, ", written.files);
    }
    if written.kept > 0 {
        files.push_str(&format!("{} kept as complete and right, ", written.kept));
    }
    output::say(format_args!(
        "{}: {files}{}, {}, {} in {:.1} s (seed {}, {} stream)",
        target.path().display(),
        text::counted(written.tensors, "tensor"),
        text::counted(written.values, "value"),
        text::bytes(written.bytes),
        start.elapsed().as_secs_f64(),
        plan.draw.seed,
        plan.draw.stream.name(),
    ));
    if written.lacking > 0 {
        output::say(format_args!(
            "{} lacks {} still: it takes its name with the last",
            target.path().display(),
            text::counted(written.lacking as u64, "part")
        ));
    }
    Ok(())
}

/// Prints the warnings of the plans.
pub(super) fn warn(planned: &[Planned], quiet: bool) {
    let all = planned.iter().filter_map(|planned| Some((planned, planned.plan.as_ref()?)));
    let all = all.flat_map(|(planned, plan)| {
        plan.warnings().iter().map(|warning| (planned.entry.name.as_str(), warning.to_string()))
    });
    output::warnings(all, quiet);
}
