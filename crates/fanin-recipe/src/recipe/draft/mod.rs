//! A recipe drafted from names and shapes alone, for a person to read and to mend.
//!
//! Each tensor is first put in a kind, which names a scheme and says why; tensors of one kind then share the
//! most general patterns that take no other tensor. A draft always parses, covers all tensors, and has no idle rule.

mod kinds;
mod patterns;
mod vectors;
mod words;

use std::fmt::Write as _;

use std::path::Path;

use super::Recipe;
use super::flatten::quoted;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::names::groups;
use crate::text::escaped;
use crate::text::{count, counted};
use kinds::{Choice, Context, Section};
use patterns::Drafted;

/// Names of a comment before "and so on".
const NAMED: usize = 3;

/// The text of a draft for these tensors. `file` is what they come from, as it is told; `values` says whether that has
/// values to copy, or is a manifest.
///
/// # Errors
/// A name that no recipe can hold.
pub fn draft(manifest: &Manifest, file: &str) -> Result<String> {
    if manifest.entries.is_empty() {
        return Err(Error::file(Path::new(file), "there are no tensors to draft a recipe for"));
    }
    let values = manifest.entries.iter().any(|entry| entry.offsets.is_some());
    let context = Context::of(manifest, values);
    let choices: Vec<Choice> = manifest.entries.iter().map(|entry| context.choose(entry)).collect();
    let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
    let rules = patterns::rules(&names, &choices);
    let mut text = String::new();
    let (tensors, file) = (counted(manifest.entries.len() as u64, "tensor"), escaped(file));
    _ = writeln!(
        text,
        "# A draft for {file}: {tensors}, {} values, seen by name and shape only.",
        count(manifest.values())
    );
    _ = writeln!(text, "# Read each line: what begins with CHECK is a guess. What comes of it:");
    _ = writeln!(text, "#   fanin init THIS.toml --like {file} --dry-run");
    _ = writeln!(
        text,
        "# docs/recipes.md is the page about recipes; for completion, `fanin recipe --schema > recipe.schema.json`"
    );
    _ = writeln!(text, "# and `#:schema ./recipe.schema.json` as the first line here.");
    if rules.iter().any(|rule| rule.choice.spec.contains("n_layer")) {
        let layers = context.layers();
        _ = writeln!(text, "\n[vars]\nn_layer = {layers} # layers, as their names count them");
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
    Recipe::parse(&text, std::path::Path::new("draft.toml"))?.apply(manifest, &[])?;
    Ok(text)
}

/// Why, and what it is about.
fn comment(manifest: &Manifest, rule: &Drafted<'_>) -> String {
    let entries: Vec<_> = rule.members.iter().map(|&member| &manifest.entries[member]).collect();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let alike = groups(&names, |number| &entries[number].shape);
    let mut about: Vec<String> = alike
        .iter()
        .take(NAMED)
        .map(|group| format!("{} {:?}", escaped(&group.name), entries[group.members[0]].shape))
        .collect();
    if alike.len() > NAMED {
        about.push(format!("and {} more", alike.len() - NAMED));
    }
    let check = if rule.choice.sure { "" } else { "CHECK " };
    format!("# {check}{}: {}", rule.choice.why, about.join(", "))
}

/// A hint at matrices that may be one.
fn ties(manifest: &Manifest, choices: &[Choice]) -> String {
    let of = |section: Section| {
        let all = manifest.entries.iter().zip(choices);
        all.filter(move |(_, choice)| choice.section == section).map(|(entry, _)| entry)
    };
    let mut text = String::new();
    for head in of(Section::Heads).filter(|head| head.name.ends_with(".weight") || head.name == "weight") {
        if let Some(first) =
            of(Section::Embeddings).find(|entry| entry.shape == head.shape && entry.shape.len() == 2)
        {
            let shape = &head.shape;
            _ = write!(
                text,
                "\n# CHECK whether these two are one tensor, as both are {shape:?}: then take the # away.\n# [tie]\n# {} = {}\n",
                quoted(&head.name).replace("\\n", " "),
                quoted(&first.name)
            );
            break;
        }
    }
    text
}
