//! Proposes a recipe for a model. The proposed recipe is called a draft. A person then checks and edits the draft.
//!
//! The sources are the names and shapes of the tensors, and the model's config.json if there is one. Each tensor first
//! gets a choice: a spec and the reason for the spec. Tensors with the same choice then get rules with patterns that
//! are as general as possible. A draft can always be parsed, has a rule for every tensor, and has no unused rule.

mod choice;
mod classify;
mod config;
mod family;
mod kernels;
mod known_model;
mod matrices;
mod patterns;
mod vectors;
mod words;

use std::fmt::Write as _;
use std::path::Path;

use super::definition::Recipe;
use super::toml_string::quoted;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::names::groups;
use crate::text::{count, counted, escaped};
use choice::{Choice, Section};
use classify::Context;
pub use config::ModelConfig;
use patterns::DraftRule;
pub use patterns::cover;

/// The maximum number of names in the comment above a rule.
const MAX_NAMES: usize = 3;

/// The model for which a draft is made.
#[derive(Debug)]
pub struct DraftedModel<'a> {
    /// The tensors of the model.
    pub manifest: &'a Manifest,
    /// The configuration of the model (config.json). `None` if no configuration was found.
    pub config: Option<&'a ModelConfig>,
    /// The name of the file from which the manifest was read. The first line of the draft shows this name.
    pub file: &'a str,
    /// Notes for the user about the sources of the draft. Each note becomes a comment line of the draft.
    pub notes: &'a [String],
}

/// Returns the text of a proposed recipe.
///
/// # Errors
/// Returns an error if the model has no tensors.
pub fn draft(model: &DraftedModel<'_>) -> Result<String> {
    let DraftedModel { manifest, config, file, notes } = *model;
    if manifest.entries.is_empty() {
        return Err(Error::file(Path::new(file), "the file has no tensors to draft a recipe for"));
    }
    let has_values = manifest.entries.iter().any(|entry| entry.offsets.is_some());
    let context = Context::of(manifest, config, has_values);
    let choices: Vec<Choice> = manifest.entries.iter().map(|entry| context.choose(entry)).collect();
    let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
    let rules = patterns::rules(&names, &choices);
    let mut text = String::new();
    let (tensors, file) = (counted(manifest.entries.len() as u64, "tensor"), escaped(file));
    _ = writeln!(
        text,
        "# A draft for {file}: {tensors}, {} values. {}",
        count(manifest.values()),
        context.source(config)
    );
    _ = writeln!(
        text,
        "# Check each line. Lines that begin with CHECK are guesses. docs/recipes.md explains recipes."
    );
    for note in notes {
        _ = writeln!(text, "# CHECK {}", escaped(note));
    }
    text.push_str(&variables(&context, &rules));
    text.push_str("\n[init]\n");
    let mut section = None;
    for rule in &rules {
        if section != Some(rule.choice.section) {
            let gap = if section.is_some() { "\n" } else { "" };
            _ = writeln!(text, "{gap}# {}", rule.choice.section.title());
            section = Some(rule.choice.section);
        }
        _ = writeln!(text, "{}", comment(manifest, rule));
        _ = writeln!(text, "{} = {}", quoted(&rule.pattern), quoted(&rule.choice.spec));
    }
    text.push_str(&ties(manifest, &choices));
    Recipe::parse(&text, Path::new("draft.toml"))?.plan(manifest, &[])?;
    Ok(text)
}

/// Returns the section `[vars]` with the variables that the rules use. Returns an empty text if the
/// rules use no variables.
fn variables(context: &Context<'_>, rules: &[DraftRule<'_>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut is_defined = false;
    if let Some(model) = &context.known {
        let used: std::collections::BTreeMap<&str, _> =
            rules.iter().flat_map(|rule| model.used(&rule.choice.spec)).collect();
        for (name, number) in used {
            let Some(value) = number.value else { continue };
            lines.push(match (number.count, number.is_sure) {
                (Some(pattern), _) => format!("{name} = {{ count = {} }}", quoted(pattern)),
                (None, true) => format!("{name} = {value} # config.json"),
                (None, false) => {
                    format!("{name} = {value} # CHECK the library's default; config.json of the model may have another value")
                }
            });
            is_defined |= name == "n_layer";
        }
    }
    if !is_defined && rules.iter().any(|rule| rule.choice.spec.contains("*n_layer)")) {
        lines.push(format!("n_layer = {} # the number of layers", context.n_layer()));
    }
    if lines.is_empty() { String::new() } else { format!("\n[vars]\n{}\n", lines.join("\n")) }
}

/// Returns the comment above a rule: the reason for its spec, and the names and shapes of tensors to which the rule
/// applies.
fn comment(manifest: &Manifest, rule: &DraftRule<'_>) -> String {
    let entries: Vec<_> = rule.members.iter().map(|&member| &manifest.entries[member]).collect();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let groups = groups(&names, |index| &entries[index].shape);
    let mut tensors: Vec<String> = groups
        .iter()
        .take(MAX_NAMES)
        .map(|group| format!("{} {:?}", escaped(&group.name), entries[group.members[0]].shape))
        .collect();
    if groups.len() > MAX_NAMES {
        tensors.push(format!("and {} more", groups.len() - MAX_NAMES));
    }
    let check = if rule.choice.is_guess { "CHECK " } else { "" };
    format!("# {check}{}: {}", rule.choice.reason, tensors.join(", "))
}

/// Returns a section `[tie]`, commented out, that ties an output matrix to an embedding of the same shape. Returns an
/// empty text if there is no such pair.
fn ties(manifest: &Manifest, choices: &[Choice]) -> String {
    let of = |section: Section| {
        let all = manifest.entries.iter().zip(choices);
        all.filter(move |(_, choice)| choice.section == section).map(|(entry, _)| entry)
    };
    let mut text = String::new();
    for head in of(Section::Heads).filter(|head| head.name.ends_with(".weight") || head.name == "weight") {
        if let Some(embedding) =
            of(Section::Embeddings).find(|entry| entry.shape == head.shape && entry.shape.len() == 2)
        {
            let shape = &head.shape;
            _ = write!(
                text,
                "\n# CHECK whether these two tensors of shape {shape:?} are tied. If so, remove the # from these lines:\n# [tie]\n# {} = {}\n",
                quoted(&head.name).replace("\\n", " "),
                quoted(&embedding.name)
            );
            break;
        }
    }
    text
}
