//! Finds the rules whose patterns match a name.

use std::collections::HashMap;

use super::rule::Rule;

/// An index for finding the rules that match a name. Patterns without wildcards are found by hashing, because a recipe
/// can have one such rule for each tensor.
pub(super) struct Matching<'a, T> {
    rules: &'a [Rule<T>],
    /// Maps each pattern without wildcards to the index of its rule.
    names: HashMap<&'a str, usize>,
    /// The indices of the rules whose pattern has wildcards.
    patterns: Vec<usize>,
}

impl<'a, T> Matching<'a, T> {
    pub(super) fn new(rules: &'a [Rule<T>]) -> Self {
        let (mut names, mut patterns) = (HashMap::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            match rule.pattern.matcher {
                None => _ = names.entry(rule.pattern.text.as_str()).or_insert(index),
                Some(_) => patterns.push(index),
            }
        }
        Self { rules, names, patterns }
    }

    /// Returns the indices of the rules whose patterns match `name`, in the order of the recipe. The first of these
    /// rules applies to the tensor `name`.
    pub(super) fn matching(&self, name: &str) -> Vec<usize> {
        let patterns = self.patterns.iter().copied();
        let mut all: Vec<usize> = patterns.filter(|&index| self.rules[index].pattern.matches(name)).collect();
        if let Some(&index) = self.names.get(name) {
            all.insert(all.partition_point(|&other| other < index), index);
        }
        all
    }
}
