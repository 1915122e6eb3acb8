//! A recipe with what it extends written out: what a checkpoint keeps of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use toml::Value as Toml;

use super::extend::words;
use super::matching::Matching;
use super::tie::Tie;
use super::variables::Value;
use super::{Recipe, Rule};
use crate::manifest::Manifest;

impl Recipe {
    /// The text of a recipe that stands alone and plans this model as this one does: its own text if it extends none.
    /// Otherwise inherited rules that match nothing in the model are left out.
    pub fn flat(&self, manifest: &Manifest) -> String {
        let Some(base) = &self.base else { return self.text().to_owned() };
        let names: HashSet<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let ties: HashMap<&str, &Tie> = self.ties.iter().map(|tie| (tie.alias.as_str(), tie)).collect();
        let canonical = |name| ties.get(name).and_then(|tie| tie.canonical.as_deref()).unwrap_or(name);
        let goes_by: HashSet<&str> = names.iter().copied().map(canonical).collect();
        let rules = used(&self.rules, &goes_by);
        let mentioned: HashSet<&str> = rules.iter().flat_map(|rule| words(&rule.text)).collect();
        let mut text = format!("# extends {}, written out for one model\n", quoted(base));
        let mut table = |name: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                _ = write!(text, "[{name}]\n{}\n", lines.join("\n"));
            }
        };
        // Those that other rules of a base use would be idle.
        let variables = self.variables.iter().filter(|variable| mentioned.contains(variable.name.as_str()));
        let numbers = variables.map(|variable| {
            let value = match &variable.value {
                Value::Number(number) => Toml::Float(*number).to_string(),
                Value::Read(reading, pattern) => {
                    format!("{{ {} = {} }}", reading.name(), quoted(&pattern.text))
                }
            };
            format!("{} = {value}", key(&variable.name))
        });
        table("vars", numbers.collect());
        table("init", lines(&rules));
        table("dtype", lines(&used(&self.dtypes, &goes_by)));
        let here = |name: &str| names.contains(name);
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
fn used<'a, T>(rules: &'a [Rule<T>], names: &HashSet<&str>) -> Vec<&'a Rule<T>> {
    let matching = Matching::new(rules);
    let used: BTreeSet<usize> = names.iter().filter_map(|name| matching.of(name).first().copied()).collect();
    used.into_iter().map(|number| &rules[number]).collect()
}

fn lines<T>(rules: &[&Rule<T>]) -> Vec<String> {
    let line = |rule: &&Rule<T>| format!("{} = {}", quoted(&rule.pattern.text), quoted(&rule.text));
    rules.iter().map(line).collect()
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
