//! Searches for words in tensor names.

/// Returns whether one of the words of a name is in `words`. The words of a name are the sequences of letters between
/// other characters, such as dots, underscores and digits. Upper case counts as lower case.
pub(super) fn has(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|word| words.contains(&word))
}

/// Returns whether a name contains one of these texts anywhere, even within a word. Upper case counts as lower case.
pub(super) fn contains(name: &str, texts: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    texts.iter().any(|text| lower.contains(text))
}

/// Splits a name at its last dot into the path of the module and the parameter's name within the module.
pub(super) fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Returns whether the parameter with this name belongs to a numbered layer. This is the case if a part of the name
/// between dots is a number.
pub(super) fn has_layer(name: &str) -> bool {
    name.split('.').any(|word| word.parse::<u64>().is_ok())
}

/// Returns whether a name is that of a projection whose output is added to the residual stream. GPT-2 and similar
/// models scale the weights of such a projection by the number of layers.
pub(super) fn is_residual_projection(name: &str) -> bool {
    let (path, last) = split_last(name);
    last == "weight" && ["c_proj", "dense_4h_to_h"].contains(&split_last(path).1) && has_layer(name)
}
