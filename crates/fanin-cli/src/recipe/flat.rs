//! A recipe with what it extends written out: what a checkpoint keeps of it.

use std::fmt::Write as _;

use toml::Value as Toml;

use super::vars::Value;
use super::{Recipe, Rule};
use crate::manifest::Manifest;

impl Recipe {
    /// The text of a recipe that stands alone and plans this model as this one does: its own text if it extends none.
    /// Otherwise inherited rules that match nothing in the model are left out.
    pub fn flat(&self, manifest: &Manifest) -> String {
        let Some(base) = &self.base else { return self.text().to_owned() };
        let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let canonical = |name: &str| {
            let tie = self.ties.iter().find(|tie| tie.alias == name);
            tie.and_then(|tie| tie.canonical.clone()).unwrap_or_else(|| name.to_owned())
        };
        let goes_by: Vec<String> = names.iter().map(|name| canonical(name)).collect();
        let mut text = format!("# extends {}, written out for one model\n", quoted(base));
        let mut table = |name: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                _ = write!(text, "[{name}]\n{}\n", lines.join("\n"));
            }
        };
        let numbers = self.variables.iter().map(|variable| {
            let value = match &variable.value {
                Value::Number(number) => Toml::Float(*number).to_string(),
                Value::Read(reading, pattern) => {
                    format!("{{ {} = {} }}", reading.name(), quoted(&pattern.text))
                }
            };
            format!("{} = {value}", key(&variable.name))
        });
        table("vars", numbers.collect());
        table("init", lines(&self.rules, &goes_by));
        table("dtype", lines(&self.dtypes, &goes_by));
        let here = |name: &str| names.contains(&name);
        let ties = self.ties.iter().filter_map(|tie| {
            let canonical = tie.canonical.as_deref()?;
            let used = here(&tie.alias) || here(canonical);
            used.then(|| format!("{} = {}", quoted(&tie.alias), quoted(canonical)))
        });
        table("tie", ties.collect());
        text
    }
}

/// The rules that are first for one of these names.
fn lines<T>(rules: &[Rule<T>], names: &[String]) -> Vec<String> {
    let first = |name: &String| rules.iter().position(|rule| rule.pattern.matches(name));
    let used: std::collections::BTreeSet<usize> = names.iter().filter_map(first).collect();
    let line =
        |number: usize| format!("{} = {}", quoted(&rules[number].pattern.text), quoted(&rules[number].text));
    used.into_iter().map(line).collect()
}

/// A text as a string of TOML, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => _ = write!(out, "\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key of TOML, in quotes where it needs them.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}
