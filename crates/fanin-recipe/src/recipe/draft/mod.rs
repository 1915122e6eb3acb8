//! Proposes a recipe, called a draft, from the names and shapes of tensors alone. A person then checks and edits the
//! draft.
//!
//! Each tensor first gets a choice: a spec and the reason for the spec. Each rule of the draft then has the most
//! general pattern that matches only tensors with the same choice. A draft can always be parsed, has a rule for every
//! tensor, and has no unused rule.

mod choice;
mod classify;
mod families;
mod kernels;
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
use patterns::DraftRule;
pub use patterns::cover;

/// The maximum number of names in the comment above a rule.
const MAX_NAMES: usize = 3;

/// Returns the text of a proposed recipe for the tensors of `manifest`. `file` is the name of the file from which the
/// manifest was read. The first line of the draft shows this name.
///
/// # Errors
/// Returns an error if the manifest has no tensors.
pub fn draft(manifest: &Manifest, file: &str) -> Result<String> {
    if manifest.entries.is_empty() {
        return Err(Error::file(Path::new(file), "the file has no tensors to draft a recipe for"));
    }
    let has_values = manifest.entries.iter().any(|entry| entry.offsets.is_some());
    let context = Context::of(manifest, has_values);
    let choices: Vec<Choice> = manifest.entries.iter().map(|entry| context.choose(entry)).collect();
    let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
    let rules = patterns::rules(&names, &choices);
    let mut text = String::new();
    let (tensors, file) = (counted(manifest.entries.len() as u64, "tensor"), escaped(file));
    _ = writeln!(
        text,
        "# A draft for {file}: {tensors}, {} values. It was made from names and shapes only.",
        count(manifest.values())
    );
    _ = writeln!(
        text,
        "# Check each line. Lines that begin with CHECK are guesses. docs/recipes.md explains recipes."
    );
    if rules.iter().any(|rule| rule.choice.spec.contains("n_layer")) {
        let n_layer = context.n_layer();
        _ = writeln!(text, "\n[vars]\nn_layer = {n_layer} # the number of layers");
    }
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

/// Returns the comment above a rule: the reason for its spec, and the names and shapes of tensors for which the rule
/// wins.
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

/// Returns the text of a section `[tie]` that ties an output matrix to an embedding of the same shape. All lines of the
/// section are commented out. Returns an empty text if no output matrix has the shape of an embedding.
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
