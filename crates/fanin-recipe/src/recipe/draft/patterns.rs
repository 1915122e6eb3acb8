//! Finds the patterns of a draft's rules. All tensors of a rule have the same [`Choice`]. A rule for several tensors
//! has the most general pattern that is possible. A rule for one tensor has the tensor's name as its pattern.

use super::choice::Choice;
use crate::recipe::glob::Glob;

/// A rule of a draft.
#[derive(Debug)]
pub(super) struct DraftRule<'a> {
    pub(super) pattern: String,
    pub(super) choice: &'a Choice,
    /// The indices of the tensors to which the rule applies.
    pub(super) members: Vec<usize>,
}

/// The maximum number of comparisons between a pattern and a name (a few seconds). After this maximum, the pattern of
/// each remaining tensor is its own name.
const MAX_COMPARISONS: usize = 50_000_000;

/// Returns the rules of a draft, ordered by section. The first rule that matches `names[i]` contains `choices[i]`.
pub(super) fn rules<'a>(names: &[&str], choices: &'a [Choice]) -> Vec<DraftRule<'a>> {
    // Distinct choices are numbered in the order of first occurrence. `kinds[i]` is the number of the choice
    // `choices[i]`.
    let mut distinct: Vec<usize> = Vec::new();
    let kinds: Vec<usize> = (0..names.len())
        .map(|index| {
            let known = distinct.iter().position(|&first| choices[first] == choices[index]);
            known.unwrap_or_else(|| {
                distinct.push(index);
                distinct.len() - 1
            })
        })
        .collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|&index| (choices[index].section, kinds[index], index));
    let groups = cover(names, &kinds, &order).into_iter();
    groups.map(|(pattern, members)| DraftRule { pattern, choice: &choices[members[0]], members }).collect()
}

/// Returns patterns that together match all names. With each pattern, returns its members: the indices of the names
/// that match this pattern and no earlier pattern.
///
/// All members of a pattern have the same kind. `kinds[i]` is the kind of `names[i]`, a number that the caller chooses.
/// The argument `order` contains every index once. The names are visited in this order, beginning with
/// `names[order[0]]`. A name that no earlier pattern matches gets a new pattern.
pub fn cover(names: &[&str], kinds: &[usize], order: &[usize]) -> Vec<(String, Vec<usize>)> {
    let mut is_open = vec![true; names.len()];
    // `is_open[i]` is true if `names[i]` has no pattern yet. `open` contains the indices of these names and of some
    // others. To save time, the others are removed only after a pattern that matches several names.
    let mut open: Vec<usize> = (0..names.len()).collect();
    let (mut found_patterns, mut comparisons) = (Vec::new(), 0);
    for &index in order {
        if !is_open[index] {
            continue;
        }
        // Returns the pattern and the indices of the open names that it matches. Returns `None` if `names[index]` is
        // not one of these names, if their kinds differ, or if there were too many comparisons.
        let mut try_pattern = |pattern: String| {
            if comparisons > MAX_COMPARISONS {
                return None;
            }
            comparisons += open.len();
            let glob = Glob::parse(&pattern).ok()?;
            let is_match = |&other: &usize| is_open[other] && glob.matches(names[other]);
            let members: Vec<usize> = open.iter().copied().filter(is_match).collect();
            let is_valid =
                members.contains(&index) && members.iter().all(|&other| kinds[other] == kinds[index]);
            is_valid.then_some((pattern, members))
        };
        let found = candidates(names[index]).into_iter().find_map(&mut try_pattern);
        // If the pattern matches only one name, the name itself becomes the pattern.
        let (pattern, members) = found
            .filter(|(_, members)| members.len() > 1)
            .unwrap_or_else(|| (literal(names[index]), vec![index]));
        members.iter().for_each(|&member| is_open[member] = false);
        if members.len() > 1 {
            open.retain(|&other| is_open[other]);
        }
        found_patterns.push((pattern, members));
    }
    found_patterns
}

/// Returns patterns that match a name, in order from the most general to the most specific.
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
            // For example, `*.ln_*.weight` matches both `h.0.ln_1.weight` and `h.0.ln_2.weight`.
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

/// Returns a pattern: the name with each sequence of digits replaced by a star. For example, the pattern for `t0` and
/// for `t17` is `t*`.
fn numberless(name: &str) -> String {
    let mut pattern = String::new();
    for (index, text) in name.split(|c: char| c.is_ascii_digit()).enumerate() {
        if index > 0 && !pattern.ends_with('*') {
            pattern.push('*');
        }
        pattern.push_str(&literal(text));
    }
    pattern
}

/// Returns a pattern that matches only `text`.
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
    use super::super::choice::{Section, known};
    use super::*;

    #[test]
    fn a_single_tensor_has_its_name_as_pattern_and_numbered_tensors_share_a_pattern() {
        let choice = |spec| known(Section::Others, spec, "because");
        let names = ["fc.weight", "a.weight", "b.weight", "t0", "t17", "t[3]", "x*"];
        let choices = ["ones", "zeros", "zeros", "normal", "normal", "normal", "eye"].map(choice);
        let rules = rules(&names, &choices);
        let patterns: Vec<&str> = rules.iter().map(|rule| rule.pattern.as_str()).collect();
        assert_eq!(patterns, ["fc.weight", "*.weight", "t*", "x[*]"]);
        assert_eq!(rules.iter().map(|rule| rule.members.len()).sum::<usize>(), names.len());
    }

    #[test]
    fn the_number_of_comparisons_is_limited_for_a_large_number_of_names() {
        let names: Vec<String> =
            (0..100_000).map(|index| format!("{index:x}.{index:x}g.h{index:x}i")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let choices: Vec<Choice> = (0..names.len())
            .map(|index| known(Section::Others, ["zeros", "ones"][index % 2], "because"))
            .collect();
        // Without the limit `MAX_COMPARISONS`, `rules` would take an hour for these names.
        let rules = rules(&names, &choices);
        assert_eq!(rules.iter().map(|rule| rule.members.len()).sum::<usize>(), names.len());
    }
}
