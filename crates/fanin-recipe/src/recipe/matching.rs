//! Which rules match a name.

use std::collections::HashMap;

use super::Rule;

/// Rules, found by the names that they match: a recipe may have a rule for each of very many tensors.
pub(super) struct Matching<'a, T> {
    rules: &'a [Rule<T>],
    /// Rules that are a plain name.
    named: HashMap<&'a str, usize>,
    /// The others.
    patterns: Vec<usize>,
}

impl<'a, T> Matching<'a, T> {
    pub(super) fn new(rules: &'a [Rule<T>]) -> Self {
        let (mut named, mut patterns) = (HashMap::new(), Vec::new());
        for (number, rule) in rules.iter().enumerate() {
            match rule.pattern.matcher {
                None => _ = named.entry(rule.pattern.text.as_str()).or_insert(number),
                Some(_) => patterns.push(number),
            }
        }
        Self { rules, named, patterns }
    }

    /// The rules that match a name, the winner first.
    pub(super) fn of(&self, name: &str) -> Vec<usize> {
        let patterns = self.patterns.iter().copied();
        let mut all: Vec<usize> =
            patterns.filter(|&number| self.rules[number].pattern.matches(name)).collect();
        if let Some(&number) = self.named.get(name) {
            all.insert(all.partition_point(|&other| other < number), number);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn plain_names_stand_among_patterns_in_their_order() {
        let text = "[init]\n\"a.*\" = \"zeros\"\n\"a.b\" = \"ones\"\n\"?.b\" = \"ones\"\n\"a.[c]\" = \"ones\"\n\"*\" = \"zeros\"";
        let recipe = super::super::Recipe::parse(text, Path::new("r.toml")).unwrap();
        let matching = Matching::new(&recipe.rules);
        assert_eq!(matching.of("a.b"), [0, 1, 2, 4]);
        assert_eq!(matching.of("a.c"), [0, 3, 4]);
        assert_eq!(matching.of("a.[c]"), [0, 4]);
        assert_eq!(matching.of("b"), [4]);
    }
}
