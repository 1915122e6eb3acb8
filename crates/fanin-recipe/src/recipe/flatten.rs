//! Merges a recipe and its base recipes (`extends`) into one text. A checkpoint stores this text in its metadata.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use toml::Value as Toml;

use super::definition::Recipe;
use super::matching::Matching;
use super::rule::Rule;
use super::tie::Tie;
use super::toml_string::{key, quoted};
use super::variable::{VariableValue, words};
use crate::manifest::Manifest;

impl Recipe {
    /// Returns the text of an equivalent recipe without `extends`. Both recipes plan the tensors of `manifest` in the
    /// same way.
    ///
    /// If this recipe extends no other recipe, the result is the text of this recipe. Otherwise the result does not
    /// contain unused rules, variables and ties. These are allowed in a base recipe, but would be errors in the result.
    pub fn flatten(&self, manifest: &Manifest) -> String {
        let Some(base) = &self.base else { return self.text().to_owned() };
        let names: HashSet<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let ties: HashMap<&str, &Tie> = self.ties.iter().map(|tie| (tie.alias.as_str(), tie)).collect();
        let canonical = |name| ties.get(name).and_then(|tie| tie.canonical.as_deref()).unwrap_or(name);
        let canonical_names: HashSet<&str> = names.iter().copied().map(canonical).collect();
        let rules = used_rules(&self.rules, &canonical_names);
        let words_of_rules: HashSet<&str> = rules.iter().flat_map(|rule| words(&rule.text)).collect();
        let mut text = format!("# extends {}, written out for one model\n", quoted(base));
        let mut table = |name: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                _ = write!(text, "[{name}]\n{}\n", lines.join("\n"));
            }
        };
        let is_used = |name: &str| words_of_rules.contains(name);
        let variables = self.variables.iter().filter(|variable| is_used(&variable.name)).map(|variable| {
            let value = match &variable.value {
                VariableValue::Number(number) => Toml::Float(*number).to_string(),
                VariableValue::NameNumber(number) => quoted(&number.text),
                VariableValue::Property(property, pattern) => {
                    format!("{{ {} = {} }}", property.name(), quoted(&pattern.text))
                }
            };
            format!("{} = {value}", key(&variable.name))
        });
        table("vars", variables.collect());
        table("init", lines(&rules));
        table("dtype", lines(&used_rules(&self.dtypes, &canonical_names)));
        let ties = self.ties.iter().filter_map(|tie| {
            let canonical = tie.canonical.as_deref()?;
            let is_used = names.contains(tie.alias.as_str()) || names.contains(canonical);
            is_used.then(|| format!("{} = {}", quoted(&tie.alias), quoted(canonical)))
        });
        table("tie", ties.collect());
        text
    }
}

/// Returns the rules that apply to at least one of the names.
fn used_rules<'a, T>(rules: &'a [Rule<T>], names: &HashSet<&str>) -> Vec<&'a Rule<T>> {
    let matching = Matching::new(rules);
    let used: BTreeSet<usize> =
        names.iter().filter_map(|name| matching.matching(name).first().copied()).collect();
    used.into_iter().map(|index| &rules[index]).collect()
}

fn lines<T>(rules: &[&Rule<T>]) -> Vec<String> {
    let line = |rule: &&Rule<T>| format!("{} = {}", quoted(&rule.pattern.text), quoted(&rule.text));
    rules.iter().map(line).collect()
}
