//! Groups tensor names that differ only in their numbers. For example, the common name of `h.0.mlp.weight` to
//! `h.11.mlp.weight` is `h.{0..11}.mlp.weight`.

use std::collections::{BTreeMap, BTreeSet};

/// A group of names that differ only in their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The common name, with sets of numbers in braces. Ranges include their end, so that `{0..11}` includes 11.
    pub name: String,
    /// The indices of the group's names in the slice that was passed to [`groups`], in ascending order.
    pub members: Vec<usize>,
}

/// The parts of a name between its dots. `None` stands for a number: `h.0.w` becomes `[Some("h"), None, Some("w")]`.
type Template<'a> = Vec<Option<&'a str>>;

/// Maps the numbers in a name, such as `[3, 0]` for `h.3.mlp.0.w`, to the index of the name. All names have the same
/// [`Template`].
type MembersByNumbers = BTreeMap<Vec<u64>, usize>;

/// Splits a name into its template and the numbers in the name. A part with leading zeros, such as `00`, is not a
/// number.
fn split(name: &str) -> (Template<'_>, Vec<u64>) {
    let mut numbers = Vec::new();
    let template = name.split('.').map(|word| match word.parse::<u64>() {
        Ok(number) if number.to_string() == word => {
            numbers.push(number);
            None
        }
        _ => Some(word),
    });
    (template.collect(), numbers)
}

/// Groups names that differ only in their numbers, such as `h.0.w` and `h.1.w`, and have equal keys. `key(i)` returns
/// the key of `names[i]`.
///
/// The common name of a group, such as `a.{0..1}.b.{0..1}`, has sets of numbers in braces. The group contains a name
/// for every combination of these numbers. For example, the group `a.{0..1}.b.{0..1}` has four members. Groups are in
/// the order of their first members.
pub fn groups<K: PartialEq>(names: &[&str], key: impl Fn(usize) -> K) -> Vec<Group> {
    let mut classes: Vec<(Template<'_>, K, MembersByNumbers)> = Vec::new();
    let mut by_template: BTreeMap<Template<'_>, Vec<usize>> = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        let (template, numbers) = split(name);
        let key = key(index);
        let same_template = by_template.entry(template.clone()).or_default();
        match same_template.iter().find(|&&class| classes[class].1 == key) {
            Some(&class) => _ = classes[class].2.insert(numbers, index),
            None => {
                same_template.push(classes.len());
                classes.push((template, key, BTreeMap::from([(numbers, index)])));
            }
        }
    }
    let mut groups = Vec::new();
    for (template, _, members_by_numbers) in classes {
        for sets in products(&members_by_numbers.keys().map(Vec::as_slice).collect()) {
            let contains =
                |numbers: &[u64]| numbers.iter().zip(&sets).all(|(number, set)| set.contains(number));
            let mut members: Vec<usize> = members_by_numbers
                .iter()
                .filter(|(numbers, _)| contains(numbers))
                .map(|(_, member)| *member)
                .collect();
            members.sort_unstable();
            let mut sets = sets.iter();
            let words = template.iter().map(|word| match *word {
                None => sets.next().map_or_else(String::new, braces),
                Some(word) => word.to_owned(),
            });
            groups.push(Group { name: words.collect::<Vec<_>>().join("."), members });
        }
    }
    groups.sort_by_key(|group| group.members.first().copied());
    groups
}

/// Groups names that differ only in their numbers. Returns the common name of each group.
pub fn grouped(names: &[&str]) -> Vec<String> {
    groups(names, |_| ()).into_iter().map(|group| group.name).collect()
}

/// Splits tuples of equal length into disjoint Cartesian products. Returns the factors of each product: a set of
/// numbers for each position.
fn products(tuples: &BTreeSet<&[u64]>) -> Vec<Vec<BTreeSet<u64>>> {
    let mut tails_by_head: BTreeMap<u64, BTreeSet<&[u64]>> = BTreeMap::new();
    for tuple in tuples {
        let Some((head, tail)) = tuple.split_first() else { return vec![Vec::new()] };
        tails_by_head.entry(*head).or_default().insert(tail);
    }
    // The head of a tuple is its first element. The tail is the rest. Heads with equal sets of tails form one factor.
    let mut heads_by_tails: Vec<(BTreeSet<u64>, BTreeSet<&[u64]>)> = Vec::new();
    for (head, tails) in tails_by_head {
        match heads_by_tails.iter_mut().find(|(_, known)| *known == tails) {
            Some((heads, _)) => _ = heads.insert(head),
            None => heads_by_tails.push((BTreeSet::from([head]), tails)),
        }
    }
    let joined = heads_by_tails.into_iter().flat_map(|(heads, tails)| {
        products(&tails).into_iter().map(move |sets| [vec![heads.clone()], sets].concat())
    });
    joined.collect()
}

/// Formats a set of numbers: `3`, `{0..11}`, `{0..3,7}`. A range includes its end.
fn braces(numbers: &BTreeSet<u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}..{last}") }
    };
    let text = runs.iter().map(run).collect::<Vec<_>>().join(",");
    if numbers.len() == 1 { text } else { format!("{{{text}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_grouped_if_all_combinations_of_their_numbers_exist() {
        for (names, expected) in [
            (&["h.0.w", "h.1.w", "h.2.w", "x"][..], &["h.{0..2}.w", "x"][..]),
            (&["h.0.w", "h.0.b", "h.1.w", "h.1.b"], &["h.{0..1}.w", "h.{0..1}.b"]),
            (&["h.0.w", "h.2.w", "h.3.w"], &["h.{0,2..3}.w"]),
            (&["a.0.b.0", "a.0.b.1", "a.1.b.0", "a.1.b.1"], &["a.{0..1}.b.{0..1}"]),
            (&["a.0.b.0", "a.0.b.1", "a.1.b.0"], &["a.0.b.{0..1}", "a.1.b.0"]),
            (&["a.0.b.0", "a.0.b.1", "a.1.b.0", "a.2.b.0", "a.2.b.1"], &["a.{0,2}.b.{0..1}", "a.1.b.0"]),
            (&["0", "1"], &["{0..1}"]),
            (&["h.00.w", "h.01.w"], &["h.00.w", "h.01.w"]),
            (&["h.18446744073709551615.w", "h.0.w"], &["h.{0,18446744073709551615}.w"]),
            (&["", "..", "a..0"], &["", "..", "a..0"]),
        ] {
            assert_eq!(grouped(names), expected, "{names:?}");
        }
        let names = ["h.0.w", "h.1.w", "h.2.w"];
        let shapes = [[2, 2], [3, 3], [2, 2]];
        let found = groups(&names, |number| shapes[number]);
        assert_eq!(found[0], Group { name: "h.{0,2}.w".to_owned(), members: vec![0, 2] });
        assert_eq!(found[1], Group { name: "h.1.w".to_owned(), members: vec![1] });
    }
}
