//! `fanin verify`, which checks a checkpoint against its recipe.

use fanin_analysis::verify::{Request, Verification};
use fanin_checkpoint::read_manifest;
use fanin_recipe::{Planned, Recipe, text};

use super::input::open;
use crate::args::Verify;
use crate::error::{Error, Result};
use crate::terminal::progress::TerminalProgress;
use crate::terminal::{output, table};

pub(super) fn run(args: &Verify, quiet: bool) -> Result {
    let checkpoint = open(&args.file, quiet)?;
    let (recipe, model) = Recipe::find(&args.recipe)?;
    let like = args.like.as_deref().map(read_manifest).transpose()?;
    let passes = 1 + u64::from(args.seed.is_some());
    let progress = TerminalProgress::new("verifying", checkpoint.manifest.bytes() * passes, quiet);
    let request = Request {
        recipe: &recipe,
        settings: &args.settings,
        model_given: like.is_some(),
        model: like.or_else(|| model.map(|model| model.manifest())),
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
    if found.is_good() { Ok(()) } else { Err(Error::CheckFailed) }
}

fn show(found: &Verification) -> Result {
    let mut rows = table::new(&["tensor", "scheme", "test", "deviation"]);
    for tensor in &found.tensors {
        for deviation in &tensor.deviations {
            rows.add_row([
                text::escaped(&tensor.planned.entry.name),
                tensor.planned.action.to_string(),
                deviation.test.to_owned(),
                deviation.text.clone(),
            ]);
        }
    }
    for entry in &found.missing {
        let text = format!(
            "not in the checkpoint; the model has it as {} {}",
            entry.dtype,
            text::shape(&entry.shape)
        );
        rows.add_row([text::escaped(&entry.name), String::new(), "missing".to_owned(), text]);
    }
    if found.wrong() > 0 || !found.missing.is_empty() {
        output::line(table::text(&rows))?;
    }
    for deviation in &found.rules {
        output::line(&deviation.text)?;
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
    let bits = if found.bits_compared { ", bits compared" } else { "" };
    output::line(format!(
        "{}{count}, {} not as planned{missing}; {} tests{bits}; probability of a false alarm at most {}",
        if found.is_good() { "" } else { "\n" },
        found.wrong(),
        found.tests,
        found.alpha
    ))
}

fn warnings_of(planned: &Planned) -> impl Iterator<Item = (&str, String)> {
    let warnings = planned.plan.as_ref().map(|plan| plan.warnings()).unwrap_or_default();
    warnings.iter().map(|warning| (planned.entry.name.as_str(), warning.to_string()))
}
