//! Numbers in the names of parameters, such as the index of a layer.

use super::glob::Glob;

/// A variable whose value is a number in the name of the parameter. For example, the text `encoder.layer.{}` gives the
/// variable the value 3 for the parameter `0.auto_model.encoder.layer.3.output.weight`.
#[derive(Debug, Clone)]
pub(super) struct NameNumber {
    /// The text as it is written in the recipe.
    pub(super) text: String,
    /// The pattern that the text before the number must match.
    before: Glob,
    /// The pattern that the text after the number must match.
    after: Glob,
}

/// The result of a search for a number in a name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Number(f64),
    None,
    /// Several numbers in the name fit, so it is not certain which number is meant.
    Several(Vec<u64>),
}

impl NameNumber {
    /// Parses a text with `{}` at the place of the number. The text may also contain wildcards. The error is a message.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((before, after)) = text.split_once("{}").filter(|(_, after)| !after.contains("{}")) else {
            return Err(format!("{text:?} must contain {{}} once, at the place of the number"));
        };
        let glob = |pattern: String| Glob::parse(&pattern).map_err(|error| format!("{text:?}: {error}"));
        // A match must start after `.` or `/`, or at the start of the name. It must end before `.`, `/` or `_`, or at
        // the end of the name.
        let before = glob(format!("{{,*[./]}}{before}"))?;
        let after = glob(format!("{after}{{,[./_]*}}"))?;
        Ok(Self { text: text.to_owned(), before, after })
    }

    /// Returns the number in `name`.
    pub(super) fn of(&self, name: &str) -> Found {
        let fits = |&(start, end): &(usize, usize)| {
            self.before.matches(&name[..start]) && self.after.matches(&name[end..])
        };
        found(numbers(name).into_iter().filter(fits).map(|(start, end)| &name[start..end]))
    }
}

/// Returns the index of the layer in `name`, for a recipe that does not define `layer`. The parts of a name are
/// separated by dots or slashes. These numbers can be the index:
///
/// - a part that is a number, as in `h.3.weight`;
/// - the number in a part that consists of one of [`LEVELS`] and a number, such as `layer3` or `stage_2`;
/// - if no part is a number, a number after an underscore at the end of a part, as in `h_3.weight`.
pub(super) fn layer(name: &str) -> Found {
    let bytes = name.as_bytes();
    let begins = |start: usize, separators: &[u8]| start == 0 || separators.contains(&bytes[start - 1]);
    let ends = |end: usize| end == name.len() || b"./".contains(&bytes[end]);
    let is_level = |start: usize| {
        let word = name[..start].rsplit(['.', '/']).next().unwrap_or_default();
        LEVELS.contains(&word.trim_end_matches('_').to_ascii_lowercase().as_str())
    };
    let of = |separators: &[u8]| {
        let all = numbers(name)
            .into_iter()
            .filter(|&(start, end)| (begins(start, separators) || is_level(start)) && ends(end));
        all.collect::<Vec<_>>()
    };
    let is_word = |&(start, _): &(usize, usize)| begins(start, b"./");
    let mut all = of(b"./");
    if !all.iter().any(is_word) {
        all = of(b"./_");
    }
    found(all.into_iter().map(|(start, end)| &name[start..end]))
}

/// Words that can precede the index of a layer, or of another repeated part of a model, in a name.
const LEVELS: [&str; 8] = ["layer", "layers", "block", "blocks", "stage", "stages", "cell", "cells"];

/// Returns the byte ranges of all sequences of digits in `name`.
fn numbers(name: &str) -> Vec<(usize, usize)> {
    let bytes = name.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts = (0..bytes.len()).filter(|&at| digit(at) && (at == 0 || !digit(at - 1)));
    starts.map(|start| (start, (start..).find(|&at| !digit(at)).unwrap_or(bytes.len()))).collect()
}

fn found<'a>(texts: impl Iterator<Item = &'a str>) -> Found {
    let numbers: Vec<u64> = texts.filter_map(|text| text.parse().ok()).collect();
    match numbers.as_slice() {
        [] => Found::None,
        [number] => Found::Number(*number as f64),
        _ => Found::Several(numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_is_the_only_number_in_a_name() {
        for (name, expected) in [
            ("h.3.attn.weight", Found::Number(3.0)),
            ("h.3.ln_1.weight", Found::Number(3.0)),
            ("params/layers/3/kernel", Found::Number(3.0)),
            ("params.layers_3.mlp.kernel", Found::Number(3.0)),
            ("encoder/layers_12/fc1/kernel", Found::Number(12.0)),
            ("layer3.weight", Found::Number(3.0)),
            ("encoder/Block_2/conv1/kernel", Found::Number(2.0)),
            ("fc1.weight", Found::None),
            ("embed.weight", Found::None),
            ("0.auto_model.encoder.layer.3.output.weight", Found::Several(vec![0, 3])),
            ("layers.2.blocks.5.mlp.weight", Found::Several(vec![2, 5])),
            ("layers_3/dense_1/kernel", Found::Several(vec![3, 1])),
            ("layer2.0.conv1.weight", Found::Several(vec![2, 0])),
            ("stage_2/blocks.0.weight", Found::Several(vec![2, 0])),
        ] {
            assert_eq!(layer(name), expected, "{name}");
        }
    }

    #[test]
    fn a_number_is_found_by_the_text_around_it() {
        let of = |text: &str, name| NameNumber::parse(text).unwrap().of(name);
        let name = "0.auto_model.encoder.layer.3.output.weight";
        assert_eq!(of("encoder.layer.{}", name), Found::Number(3.0));
        assert_eq!(of("{}.auto_model", name), Found::Number(0.0));
        assert_eq!(of("layers.*.blocks.{}", "swin.layers.2.blocks.5.w"), Found::Number(5.0));
        assert_eq!(of("layers.{}.blocks", "swin.layers.2.blocks.5.w"), Found::Number(2.0));
        assert_eq!(of("layers_{}", "params/layers_3/dense_1/kernel"), Found::Number(3.0));
        assert_eq!(of("layers.{}", "sublayers.2.w"), Found::None, "a part of a word");
        assert_eq!(of("layers.{}", "layers.12b.w"), Found::None);
        assert_eq!(of("layer.{}", "layer.1.layer.2.w"), Found::Several(vec![1, 2]));
        for wrong in ["layer", "{}.{}", "layer.[{}"] {
            assert!(NameNumber::parse(wrong).is_err(), "{wrong}");
        }
    }
}
