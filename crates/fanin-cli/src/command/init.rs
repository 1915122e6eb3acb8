//! `fanin init`: an initial checkpoint from a recipe and a seed.

use std::path::Path;

use fanin::Native;

use super::{dry_run, recipe};
use crate::args::{Init, Output, Spelling, StreamName};
use crate::checkpoint::write::{self, Sharing};
use crate::checkpoint::{Existing, Form, Target};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::models::Model;
use crate::recipe::{Planned, Recipe, Scheme};
use crate::report::{self, numbers, progress::Progress};

pub(super) fn run(args: &Init, quiet: bool) -> Result {
    let (recipe, model) = recipe(&args.recipe)?;
    of(args, &recipe, model, quiet)
}

/// What `fanin init` does, with a recipe that has been read already.
///
/// # Errors
/// Everything that is wrong with the request, or goes wrong on the way.
pub fn of(args: &Init, recipe: &Recipe, model: Option<&Model>, quiet: bool) -> Result {
    let spelling = args.output.spelling;
    let variable = |name: &str| std::env::var(name).ok();
    let part = args.part.map(|share| share.resolve(spelling, variable)).transpose()?;
    let sharing = Sharing { most: args.max_shard_size, part, layout: args.layout };
    let form = form(sharing);
    let target = destination(&args.output, form, args.resume)?;
    let manifest = match (&args.like, model) {
        (Some(path), _) => super::manifest(path)?,
        (None, Some(model)) => model.manifest(),
        (None, None) => base_manifest(recipe, spelling)?,
    };
    if manifest.entries.is_empty() {
        return Err(Error::Request("there are no tensors to initialize".to_owned()));
    }
    let mut planned = recipe.plan(&manifest, &args.settings, args.dtype)?;
    let copies =
        args.like.as_deref().filter(|_| manifest.entries.iter().any(|entry| entry.offsets.is_some()));
    if let (None, Some(copied)) = (copies, planned.iter().find(|planned| planned.init == Scheme::Copy)) {
        let message = format!(
            "{}: the rule {:?} copies it, and there are no values to copy",
            copied.entry.name, copied.pattern
        );
        let like = args.output.spelling.option("like", "model.safetensors");
        let remedy = format!("say {like}, a checkpoint that has them and no manifest, or skip it");
        return Err(recipe.error_at(copied, message, &remedy));
    }
    if planned.iter().all(|planned| planned.init == Scheme::Skip) {
        let message = "every tensor is skipped: the checkpoint would be empty";
        return Err(recipe.error_at(&planned[0], message, "give a spec to what is to be written"));
    }
    let whole = args.output.dry_run.then(|| planned.clone());
    planned.retain(|planned| planned.init != Scheme::Skip);
    write::check(&planned, args.output.stream)?;
    warn(&planned, quiet);
    let mut metadata = metadata(&args.output);
    metadata.push(("fanin.recipe".to_owned(), recipe.flat(&manifest)));
    if let Some(model) = model {
        metadata.push(("fanin.model".to_owned(), model.name.to_owned()));
    }
    if !args.settings.is_empty() {
        // The last setting of a name counts.
        let last: std::collections::BTreeMap<_, _> = args.settings.iter().cloned().collect();
        let last: Vec<String> = last.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        metadata.push(("fanin.set".to_owned(), last.join(",")));
    }
    if let Some(whole) = whole {
        let files = if sharing.in_files() {
            write::foresee(&planned, &metadata, args.output.stream, sharing)
        } else {
            Vec::new()
        };
        obstacle(&args.output, form, args.resume, quiet, |target| match form {
            // A part of one file goes into what is there, if it is the same.
            Form::Parts => Ok(()),
            _ => write::foresee_trouble(target, &planned, &metadata, args.output.stream, sharing),
        });
        return if args.json {
            report::json(&dry_run::as_json(&whole, &files))
        } else {
            dry_run::show(&whole, &files)
        };
    }
    write_out(target, &planned, copies, &metadata, &args.output, sharing, quiet)
}

/// The names and shapes of the built-in model that a recipe extends.
fn base_manifest(recipe: &Recipe, spelling: Spelling) -> Result<Manifest> {
    match recipe.base().and_then(Model::find) {
        Some(model) => Ok(model.manifest()),
        None => {
            let like = |file| spelling.option("like", file);
            Err(Error::Request(format!(
                "a recipe needs names and shapes: add {} (only its header is read), or {} (`fanin models gpt2 --manifest` \
                 prints one)",
                like("model.safetensors"),
                like("manifest.json")
            )))
        }
    }
}

/// What is written there.
fn form(sharing: Sharing) -> Form {
    match sharing {
        sharing if sharing.in_files() => Form::Files,
        Sharing { part: Some(_), .. } => Form::Parts,
        _ => Form::File,
    }
}

/// Where to write, checked before any work is done; nothing for a dry run.
pub(super) fn destination(output: &Output, form: Form, resume: bool) -> Result<Option<Target>> {
    match &output.output {
        Some(path) if !output.dry_run => {
            let existing = Existing { force: output.force, resume };
            Target::new(path, form, existing, output.spelling).map(Some)
        }
        _ => Ok(None),
    }
}

/// Says what would be in the way of the run that a dry run is for, if that is told where to write.
pub(super) fn obstacle(
    output: &Output,
    form: Form,
    resume: bool,
    quiet: bool,
    more: impl FnOnce(&Target) -> Result,
) {
    let Some(path) = output.output.as_ref().filter(|_| !quiet) else { return };
    let target = Target::new(path, form, Existing { force: output.force, resume }, output.spelling);
    if let Err(error) = target.and_then(|target| more(&target)) {
        report::say(format_args!("\u{1b}[1mnote:\u{1b}[0m the run itself would be refused: {error}"));
    }
}

/// What a checkpoint says of its origin: enough to make it again, and nothing that differs between two runs.
pub(super) fn metadata(output: &Output) -> Vec<(String, String)> {
    let mut metadata = vec![
        // transformers wants to be told which framework's conventions the tensors follow.
        ("format".to_owned(), "pt".to_owned()),
        ("fanin.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("fanin.stream".to_owned(), output.stream.name().to_owned()),
        ("fanin.seed".to_owned(), output.seed.to_string()),
    ];
    if output.stream == StreamName::Native {
        metadata.push(("fanin.stream_version".to_owned(), Native::VERSION.to_string()));
    }
    metadata
}

/// Writes the checkpoint, with a bar where a person watches, and says what was written.
pub(super) fn write_out(
    target: Option<Target>,
    planned: &[Planned],
    copies: Option<&Path>,
    metadata: &[(String, String)],
    output: &Output,
    sharing: Sharing,
    quiet: bool,
) -> Result {
    let target = target.ok_or_else(|| Error::Request("where to? add -o OUT.safetensors".to_owned()))?;
    let progress = Progress::new("writing", write::bytes(planned, output.stream, sharing), quiet);
    let start = std::time::Instant::now();
    let draw = write::Draw { stream: output.stream, seed: output.seed, threads: output.threads };
    let written = write::checkpoint(&target, planned, copies, metadata, draw, sharing, &progress);
    progress.done();
    let written = written?;
    if !quiet {
        let mut files = String::new();
        if written.files > 1 {
            let here = written.written + written.kept;
            files = format!("{here} of {} files, ", written.files);
        }
        if written.kept > 0 {
            files.push_str(&format!("{} kept as complete and right, ", written.kept));
        }
        report::say(format_args!(
            "{}: {files}{}, {}, {} in {:.1} s (seed {}, {} stream)",
            target.path().display(),
            numbers::counted(written.tensors, "tensor"),
            numbers::counted(written.values, "value"),
            numbers::bytes(written.bytes),
            start.elapsed().as_secs_f64(),
            output.seed,
            output.stream.name(),
        ));
        if written.lacking > 0 {
            report::say(format_args!(
                "{} lacks {} still: it takes its name with the last",
                target.path().display(),
                numbers::counted(written.lacking as u64, "part")
            ));
        }
    }
    Ok(())
}

/// Says what the plans find worth saying.
pub(super) fn warn(planned: &[Planned], quiet: bool) {
    let all = planned.iter().filter_map(|planned| Some((planned, planned.plan.as_ref()?)));
    let all = all.flat_map(|(planned, plan)| {
        plan.warnings().iter().map(|warning| (planned.entry.name.as_str(), warning.to_string()))
    });
    report::warnings(all, quiet);
}
