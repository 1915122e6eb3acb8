//! `fanin verify`, which checks a checkpoint against its recipe.

use fanin_analysis::describe::short_numbers;
use fanin_analysis::verify::{Request, Verification};
use fanin_checkpoint::ModelSource;
use fanin_recipe::{Planned, Recipe, text};

use super::input::open;
use crate::args::Verify;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};

pub(super) fn run(args: &Verify, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let (recipe, model) = Recipe::find(&args.recipe)?;
    let like = args.like.as_deref().map(ModelSource::open).transpose()?;
    let copied = args.copy_from.as_deref().map(|path| open(path, quiet)).transpose()?;
    let passes = 1 + u64::from(args.seed.is_some());
    let progress = TerminalProgress::new("verifying", checkpoint.manifest.bytes() * passes, quiet);
    let request = Request {
        recipe: &recipe,
        settings: &args.settings,
        model_given: like.is_some(),
        model: like
            .as_ref()
            .map(|like| like.manifest().clone())
            .or_else(|| model.map(|model| model.manifest())),
        copied: copied.as_ref().or_else(|| like.as_ref().and_then(ModelSource::checkpoint)),
        partial: args.partial,
        seed: args.seed,
        stream: args.stream.into(),
        alpha: args.alpha,
        tied: args.tied,
    };
    let found = Verification::new(&checkpoint, request, &progress);
    progress.finish();
    let found = found?;
    output::warnings(found.tensors.iter().flat_map(|tensor| warnings_of(&tensor.planned)), quiet);
    if args.json {
        output::json(&found.report(&args.file.display().to_string()))?;
    } else {
        show(&found)?;
    }
    if found.is_ok() { Ok(()) } else { Err(Error::CheckFailed) }
}

fn show(found: &Verification) -> Result {
    let mut rows = table::new(&["tensor", "scheme", "test", "deviation"]);
    for tensor in &found.tensors {
        for deviation in &tensor.deviations {
            rows.add_row([
                text::escaped(&tensor.planned.entry.name),
                short_numbers(&tensor.planned.action.to_string()),
                deviation.test.to_owned(),
                text::escaped(&deviation.text),
            ]);
        }
    }
    for entry in found.missing.iter().filter(|_| !found.partial) {
        let text = format!(
            "not in the checkpoint; the model has it as {} {}",
            entry.dtype,
            text::shape(&entry.shape)
        );
        rows.add_row([text::escaped(&entry.name), String::new(), "missing".to_owned(), text]);
    }
    if found.failed() > 0 || (!found.missing.is_empty() && !found.partial) {
        output::line(table::text(&rows))?;
    }
    for deviation in &found.rules {
        output::line(text::escaped(&deviation.text))?;
    }
    if let Some((stream, seed)) = found.recorded {
        let stream = stream.name();
        output::line(format!(
            "\nthe file's metadata has stream {stream} and seed {seed}: try --stream {stream} --seed {seed}"
        ))?;
    }
    let count = text::counted(found.tensors.len() as u64, "tensor");
    let missing =
        if found.missing.is_empty() { String::new() } else { format!(", {} missing", found.missing.len()) };
    let reasons = unchecked(found);
    for (reason, names) in &reasons {
        let count = text::counted(names.len() as u64, "tensor");
        let name = text::escaped(names[0]);
        let first = if names.len() == 1 { name } else { format!("{name} and others") };
        output::line(format!("not checked: {count}, {first}: {reason}"))?;
    }
    let bits = if found.bits_compared { ", bits compared" } else { "" };
    let not_checked = match found.unchecked().count() {
        0 => String::new(),
        count => format!(", {count} not checked"),
    };
    output::line(format!(
        "{}{count}, {} not as planned{missing}{not_checked}; {} tests{bits}; probability of a false alarm at most {}",
        if found.is_ok() { "" } else { "\n" },
        found.failed(),
        found.tests,
        found.alpha
    ))
}

/// Returns the reasons why tensors were not checked, each with the names of the tensors.
fn unchecked(found: &Verification) -> Vec<(&str, Vec<&str>)> {
    text::grouped(
        found.unchecked().map(|tensor| {
            (tensor.planned.entry.name.as_str(), tensor.unchecked.as_deref().unwrap_or_default())
        }),
    )
}

fn warnings_of(planned: &Planned) -> impl Iterator<Item = (&str, String)> {
    let warnings = planned.plan.as_ref().map(|plan| plan.warnings()).unwrap_or_default();
    warnings.iter().map(|warning| (planned.entry.name.as_str(), warning.to_string()))
}
