//! Patterns for tensors that get the same: as general as can be without taking another.

use globset::{GlobBuilder, GlobMatcher};

use super::kinds::Choice;

/// A rule of a draft.
#[derive(Debug)]
pub(super) struct Drafted<'a> {
    pub(super) pattern: String,
    pub(super) choice: &'a Choice,
    /// The tensors that it is first for.
    pub(super) members: Vec<usize>,
}

/// Rules that give each of these names its choice, section after section. Each takes at least one name.
pub(super) fn rules<'a>(names: &[&str], choices: &'a [Choice]) -> Vec<Drafted<'a>> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    // What is alike stands together, in the order of its first tensor.
    let first = |number: usize| choices.iter().position(|choice| *choice == choices[number]);
    order.sort_by_key(|&number| (choices[number].section, first(number), number));
    let mut open = vec![true; names.len()];
    let mut rules = Vec::new();
    for number in order {
        if !open[number] {
            continue;
        }
        let choice = &choices[number];
        let takes = |matcher: &GlobMatcher| -> Vec<usize> {
            (0..names.len()).filter(|&other| open[other] && matcher.is_match(names[other])).collect()
        };
        let fits = |pattern: String| {
            let matcher = GlobBuilder::new(&pattern).literal_separator(false).build().ok()?.compile_matcher();
            let members = takes(&matcher);
            let only = members.contains(&number) && members.iter().all(|&other| choices[other] == *choice);
            only.then_some((pattern, members))
        };
        let (pattern, members) = candidates(names[number])
            .into_iter()
            .find_map(fits)
            .unwrap_or_else(|| (literal(names[number]), vec![number]));
        members.iter().for_each(|&member| open[member] = false);
        rules.push(Drafted { pattern, choice, members });
    }
    rules
}

/// Patterns that match a name, the most general first.
fn candidates(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let starred = |parts: &[&str]| {
        let star = |part: &&str| if is_number(part) { "*".to_owned() } else { literal(part) };
        parts.iter().map(star).collect::<Vec<_>>().join(".")
    };
    let plain = |parts: &[&str]| parts.iter().map(|part| literal(part)).collect::<Vec<_>>().join(".");
    let mut all = Vec::new();
    for length in 1..parts.len() {
        let end = &parts[parts.len() - length..];
        if is_number(end[0]) {
            continue;
        }
        if length == 2 {
            // ln_1, ln_2 or conv1, conv2: one pattern for all.
            let stem = end[0].trim_end_matches(|c: char| c.is_ascii_digit());
            if stem != end[0] && !stem.is_empty() {
                all.push(format!("*.{}*.{}", literal(stem), literal(end[1])));
            }
        }
        all.push(format!("*.{}", starred(end)));
        all.push(format!("*.{}", plain(end)));
    }
    all.push(starred(&parts));
    all.push(plain(&parts));
    all.dedup();
    all
}

/// A text as a pattern that matches it alone.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        match character {
            '*' | '?' | '[' | ']' | '{' | '}' | '\\' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
    }
    pattern
}
