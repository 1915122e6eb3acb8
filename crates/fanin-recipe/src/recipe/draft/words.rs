//! Searching for words in tensor names.

/// Whether one of the words of a name, which are separated by dots, underscores and digits, is in `words`.
pub(super) fn has(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|word| words.contains(&word))
}

/// Whether a name contains one of these texts anywhere.
pub(super) fn contains(name: &str, texts: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    texts.iter().any(|text| lower.contains(text))
}

/// Splits a name at its last dot into the module's path and the parameter's own name.
pub(super) fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Whether a name has a number between its dots: the parameter belongs to a numbered layer.
pub(super) fn has_layer(name: &str) -> bool {
    name.split('.').any(|word| word.parse::<u64>().is_ok())
}

/// Whether a name is that of a projection that GPT-2 and similar models scale by depth.
pub(super) fn is_residual_projection(name: &str) -> bool {
    let (path, last) = split_last(name);
    last == "weight" && ["c_proj", "dense_4h_to_h"].contains(&split_last(path).1) && has_layer(name)
}
