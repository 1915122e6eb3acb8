//! Patterns for tensors that get the same: as general as can be without taking another.

use globset::GlobBuilder;

use super::kinds::Choice;

/// A rule of a draft.
#[derive(Debug)]
pub(super) struct Drafted<'a> {
    pub(super) pattern: String,
    pub(super) choice: &'a Choice,
    /// The tensors that it is first for.
    pub(super) members: Vec<usize>,
}

/// Comparisons of patterns with names that a draft is worth: some seconds. Beyond it names stand for themselves.
const MOST: usize = 50_000_000;

/// Rules that give each of these names its choice, section after section. Each takes at least one name.
pub(super) fn rules<'a>(names: &[&str], choices: &'a [Choice]) -> Vec<Drafted<'a>> {
    // What is alike stands together, in the order of its first tensor.
    let mut distinct: Vec<usize> = Vec::new();
    let kinds: Vec<usize> = (0..names.len())
        .map(|number| {
            let known = distinct.iter().position(|&first| choices[first] == choices[number]);
            known.unwrap_or_else(|| {
                distinct.push(number);
                distinct.len() - 1
            })
        })
        .collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|&number| (choices[number].section, kinds[number], number));
    let mut open = vec![true; names.len()];
    // Of the names that are open, in their order, and now and then one that is not any more.
    let mut left: Vec<usize> = (0..names.len()).collect();
    let (mut rules, mut compared) = (Vec::new(), 0);
    for number in order {
        if !open[number] {
            continue;
        }
        let mut fits = |pattern: String| {
            if compared > MOST {
                return None;
            }
            compared += left.len();
            let matcher = GlobBuilder::new(&pattern).literal_separator(false).build().ok()?.compile_matcher();
            let takes = left.iter().copied().filter(|&other| open[other] && matcher.is_match(names[other]));
            let members: Vec<usize> = takes.collect();
            let only =
                members.contains(&number) && members.iter().all(|&other| kinds[other] == kinds[number]);
            only.then_some((pattern, members))
        };
        let found = candidates(names[number]).into_iter().find_map(&mut fits);
        // What is for one tensor has its name.
        let (pattern, members) = found
            .filter(|(_, members)| members.len() > 1)
            .unwrap_or_else(|| (literal(names[number]), vec![number]));
        members.iter().for_each(|&member| open[member] = false);
        if members.len() > 1 {
            left.retain(|&other| open[other]);
        }
        rules.push(Drafted { pattern, choice: &choices[number], members });
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
    if name.bytes().any(|byte| byte.is_ascii_digit()) {
        all.push(numberless(name));
    }
    all.push(starred(&parts));
    all.dedup();
    all
}

/// A name as a pattern, with a star for each number in it: `t*` of `t0` and `t17`.
fn numberless(name: &str) -> String {
    let mut pattern = String::new();
    for (at, text) in name.split(|c: char| c.is_ascii_digit()).enumerate() {
        if at > 0 && !pattern.ends_with('*') {
            pattern.push('*');
        }
        pattern.push_str(&literal(text));
    }
    pattern
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

#[cfg(test)]
mod tests {
    use super::super::kinds::{Section, sure};
    use super::*;

    #[test]
    fn one_tensor_goes_by_its_name_and_numbered_ones_share_a_pattern() {
        let choice = |spec| sure(Section::Others, spec, "because");
        let names = ["fc.weight", "a.weight", "b.weight", "t0", "t17", "t[3]", "x*"];
        let choices = ["ones", "zeros", "zeros", "normal", "normal", "normal", "eye"].map(choice);
        let rules = rules(&names, &choices);
        let patterns: Vec<&str> = rules.iter().map(|rule| rule.pattern.as_str()).collect();
        assert_eq!(patterns, ["fc.weight", "*.weight", "t*", "x[*]"]);
        assert_eq!(rules.iter().map(|rule| rule.members.len()).sum::<usize>(), names.len());
    }

    #[test]
    fn very_many_names_do_not_take_for_ever() {
        let names: Vec<String> =
            (0..100_000).map(|number| format!("{number:x}.{number:x}g.h{number:x}i")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let choices: Vec<Choice> = (0..names.len())
            .map(|number| sure(Section::Others, ["zeros", "ones"][number % 2], "so"))
            .collect();
        // Each compared with all others: an hour.
        let rules = rules(&names, &choices);
        assert_eq!(rules.iter().map(|rule| rule.members.len()).sum::<usize>(), names.len());
    }
}
