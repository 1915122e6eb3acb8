//! Searches for words in tensor names.

/// Returns true if a word of the name is in `words`. Words are sequences of letters: `Ln_1` contains the word `ln`.
/// Case is ignored.
pub(super) fn has(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|word| words.contains(&word))
}

/// Returns true if the name contains one of the texts. A text may be a part of a word. Case is ignored.
pub(super) fn contains(name: &str, texts: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    texts.iter().any(|text| lower.contains(text))
}

/// Splits the name of a parameter at the last dot, into the path of the module and the name within the module.
pub(super) fn split_last(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// Returns true if the parameter `name` belongs to a numbered layer: a part of the name between dots is a number.
pub(super) fn has_layer(name: &str) -> bool {
    name.split('.').any(|word| word.parse::<u64>().is_ok())
}

/// Returns true for the weight of a projection whose output is added to the residual stream, for example
/// `h.0.mlp.c_proj.weight`. In GPT-2, the standard deviation of this weight decreases with the number of layers.
pub(super) fn is_residual_projection(name: &str) -> bool {
    let (path, last) = split_last(name);
    last == "weight" && ["c_proj", "dense_4h_to_h"].contains(&split_last(path).1) && has_layer(name)
}
