//! Names of layers told together: `h.{0..11}.attn.c_attn.weight`.

use std::collections::{BTreeMap, BTreeSet};

/// Tensors whose names differ in their numbers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their name, with the numbers in braces.
    pub name: String,
    /// Which they are, in their order.
    pub members: Vec<usize>,
}

/// A name's parts, none where one is a number, and these.
fn parts(name: &str) -> (Pieces<'_>, Vec<u64>) {
    let mut numbers = Vec::new();
    let pieces = name.split('.').map(|piece| match piece.parse::<u64>() {
        Ok(number) if number.to_string() == piece => {
            numbers.push(number);
            None
        }
        _ => Some(piece),
    });
    (pieces.collect(), numbers)
}

/// The pieces of a name, nothing where a number stands.
type Pieces<'a> = Vec<Option<&'a str>>;

/// Names by the numbers in them.
type Members = BTreeMap<Vec<u64>, usize>;

/// Groups of names that differ in their numbers only and are alike in what `key` says of them: each group has every
/// combination of the numbers that its name tells. They come in the order of their first members.
pub fn groups<K: PartialEq>(names: &[&str], key: impl Fn(usize) -> K) -> Vec<Group> {
    let mut buckets: Vec<(Pieces<'_>, K, Members)> = Vec::new();
    let mut places: BTreeMap<Pieces<'_>, Vec<usize>> = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        let (pieces, numbers) = parts(name);
        let key = key(number);
        let known = places.entry(pieces.clone()).or_default();
        match known.iter().find(|&&place| buckets[place].1 == key) {
            Some(&place) => _ = buckets[place].2.insert(numbers, number),
            None => {
                known.push(buckets.len());
                buckets.push((pieces, key, BTreeMap::from([(numbers, number)])));
            }
        }
    }
    let mut groups = Vec::new();
    for (pieces, _, tuples) in buckets {
        for axes in products(&tuples.keys().map(Vec::as_slice).collect()) {
            let inside = |tuple: &[u64]| tuple.iter().zip(&axes).all(|(number, axis)| axis.contains(number));
            let mut members: Vec<usize> =
                tuples.iter().filter(|(tuple, _)| inside(tuple)).map(|(_, member)| *member).collect();
            members.sort_unstable();
            let mut axes = axes.iter();
            let shown = pieces.iter().map(|piece| match *piece {
                None => axes.next().map_or_else(String::new, braces),
                Some(piece) => piece.to_owned(),
            });
            groups.push(Group { name: shown.collect::<Vec<_>>().join("."), members });
        }
    }
    groups.sort_by_key(|group| group.members.first().copied());
    groups
}

/// The names in groups.
pub fn grouped(names: &[&str]) -> Vec<String> {
    groups(names, |_| ()).into_iter().map(|group| group.name).collect()
}

/// Tuples as disjoint products of sets of numbers.
fn products(tuples: &BTreeSet<&[u64]>) -> Vec<Vec<BTreeSet<u64>>> {
    let mut rests: BTreeMap<u64, BTreeSet<&[u64]>> = BTreeMap::new();
    for tuple in tuples {
        let Some((first, rest)) = tuple.split_first() else { return vec![Vec::new()] };
        rests.entry(*first).or_default().insert(rest);
    }
    // First numbers that are followed by the same go together.
    let mut alike: Vec<(BTreeSet<u64>, BTreeSet<&[u64]>)> = Vec::new();
    for (first, rest) in rests {
        match alike.iter_mut().find(|(_, known)| *known == rest) {
            Some((firsts, _)) => _ = firsts.insert(first),
            None => alike.push((BTreeSet::from([first]), rest)),
        }
    }
    let joined = alike.into_iter().flat_map(|(firsts, rest)| {
        products(&rest).into_iter().map(move |axes| [vec![firsts.clone()], axes].concat())
    });
    joined.collect()
}

/// `3`, `{0..11}`, `{0..3,7}`.
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
    fn numbers_go_together_where_all_combinations_are_there() {
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
