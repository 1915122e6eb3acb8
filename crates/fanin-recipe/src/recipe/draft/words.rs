//! Words in names.

/// Whether a name has one of these among its parts, which `.` and `_` and digits part.
pub(super) fn has(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|part| words.contains(&part))
}

/// Whether a name has one of these anywhere.
pub(super) fn contains(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// A name's last part, and what stands before it.
pub(super) fn ends(name: &str) -> (&str, &str) {
    name.rsplit_once('.').map_or(("", name), |(before, last)| (before, last))
}

/// Whether a name is one of a projection that GPT-2 and its kin scale by depth.
pub(super) fn scaled(name: &str) -> bool {
    let (before, last) = ends(name);
    last == "weight"
        && ["c_proj", "dense_4h_to_h"].contains(&ends(before).1)
        && name.split('.').any(|part| part.parse::<u64>().is_ok())
}
