//! `fanin init`: an initial checkpoint from a recipe and a seed.

use fanin::Native;
use serde_json::json;

use super::recipe;
use crate::args::{Init, Output, StreamName};
use crate::checkpoint::write::{self, Sharing};
use crate::checkpoint::{Existing, Form, Target};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, StoredType};
use crate::models::Model;
use crate::recipe::Planned;
use crate::report::{self, numbers, progress::Progress, table};

pub(super) fn run(args: &Init, quiet: bool) -> Result {
    let (recipe, model) = recipe(&args.recipe)?;
    let part = args.part.map(|share| share.resolve(|name| std::env::var(name).ok())).transpose()?;
    let sharing = Sharing { most: args.max_shard_size, part, layout: args.layout };
    let target = destination(&args.output, sharing, args.resume)?;
    let mut manifest = match (&args.like, model) {
        (Some(path), _) => Manifest::read(path)?,
        (None, Some(model)) => model.manifest(),
        (None, None) => {
            let message = "a recipe needs names and shapes: add --like model.safetensors (only its header is read), or \
                           --like manifest.json (`fanin models gpt2 --manifest` prints one)";
            return Err(Error::Request(message.to_owned()));
        }
    };
    if manifest.entries.is_empty() {
        return Err(Error::Request("there are no tensors to initialize".to_owned()));
    }
    // A built-in model sets its recipe up, wherever the shapes come from: gpt2-xl has 48 layers.
    let mut settings = model.map(Model::variables).unwrap_or_default();
    settings.extend(args.settings.iter().cloned());
    if let Some(dtype) = args.dtype {
        for entry in manifest.entries.iter_mut().filter(|entry| entry.dtype.float().is_some()) {
            entry.dtype = StoredType::from_float(dtype);
        }
    }
    let planned = recipe.apply(&manifest, &settings)?;
    write::check(&planned, args.output.stream)?;
    warn(&planned, quiet);
    if args.output.dry_run {
        return if args.json { report::json(&plans_as_json(&planned)) } else { dry_run(&planned) };
    }
    let mut metadata = metadata(&args.output);
    metadata.push(("fanin.recipe".to_owned(), recipe.text().to_owned()));
    if let Some(model) = model {
        metadata.push(("fanin.model".to_owned(), model.name.to_owned()));
    }
    if !settings.is_empty() {
        // The last setting of a name counts.
        let last: std::collections::BTreeMap<_, _> = settings.into_iter().collect();
        let last: Vec<String> = last.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        metadata.push(("fanin.set".to_owned(), last.join(",")));
    }
    write_out(target, &planned, &metadata, &args.output, sharing, quiet)
}

/// Where to write, checked before any work is done; nothing for a dry run.
pub(super) fn destination(output: &Output, sharing: Sharing, resume: bool) -> Result<Option<Target>> {
    match &output.output {
        Some(path) if !output.dry_run => {
            let existing = Existing { force: output.force, resume };
            let form = match sharing {
                sharing if sharing.in_files() => Form::Files,
                Sharing { part: Some(_), .. } => Form::Parts,
                _ => Form::File,
            };
            Target::new(path, form, existing).map(Some)
        }
        _ => Ok(None),
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
    metadata: &[(String, String)],
    output: &Output,
    sharing: Sharing,
    quiet: bool,
) -> Result {
    let target = target.ok_or_else(|| Error::Request("where to? add -o OUT.safetensors".to_owned()))?;
    let progress = Progress::new("writing", write::bytes(planned, output.stream, sharing), quiet);
    let start = std::time::Instant::now();
    let draw = write::Draw { stream: output.stream, seed: output.seed, threads: output.threads };
    let written = write::checkpoint(&target, planned, metadata, draw, sharing, &progress);
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

fn dry_run(planned: &[Planned]) -> Result {
    let mut rows = table::new(&["tensor", "dtype", "shape", "rule", "scheme", ">mean", ">std"]);
    for planned in planned {
        rows.add_row([
            table::shown(&planned.entry.name),
            planned.entry.dtype.to_string(),
            numbers::shape(&planned.entry.shape),
            planned.pattern.clone(),
            planned.init.to_string(),
            numbers::short(planned.mean()),
            numbers::short(planned.std()),
        ]);
    }
    report::line(table::text(&rows))?;
    let values: u64 = planned.iter().map(|planned| planned.entry.values() as u64).sum();
    let bytes: u64 = planned.iter().map(|planned| planned.entry.bytes()).sum();
    let tensors = numbers::counted(planned.len() as u64, "tensor");
    report::line(format!(
        "\n{tensors}, {}, {}. Nothing was written.",
        numbers::counted(values, "value"),
        numbers::bytes(bytes)
    ))
}

fn plans_as_json(planned: &[Planned]) -> serde_json::Value {
    let one = |planned: &Planned| {
        json!({
            "name": planned.entry.name, "dtype": planned.entry.dtype, "shape": planned.entry.shape,
            "rule": planned.pattern, "scheme": planned.init.to_string(),
            "mean": planned.mean(), "std": planned.std(),
        })
    };
    json!(planned.iter().map(one).collect::<Vec<_>>())
}
