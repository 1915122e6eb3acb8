//! Formats numbers, sizes and names for terminal output.

use std::collections::HashMap;
use std::hash::Hash;

/// Formats a number with four significant digits and without trailing zeros, for example `0.02` or `-1.235e-8`.
/// Absolute values below 1,000,000 keep all digits before the decimal point, for example `123457`.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    if x.fract() == 0.0 && x.abs() < 1e6 {
        return format!("{x}");
    }
    let exponent = x.abs().log10().floor() as i32;
    if (-4..6).contains(&exponent) {
        let digits = (3 - exponent).max(0) as usize;
        let text = format!("{x:.digits$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    let text = format!("{x:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

/// Formats an integer with thousands separators, for example `124,439,808`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Formats a count with a noun, for example `1 parameter` or `2,000 parameters`. The plural is the noun with an s.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Formats a number with a decimal prefix, for example `532 M` or `1.2 G`. Only numbers with the prefix G have a digit
/// after the decimal point.
pub fn rough(x: f64) -> String {
    let mut x = x;
    for unit in ["", " k", " M"] {
        if x < 999.5 {
            return format!("{x:.0}{unit}");
        }
        x /= 1000.0;
    }
    format!("{x:.1} G")
}

/// Formats a number of bytes with a decimal unit, for example `12 B` or `497.8 MB`.
pub fn bytes(n: u64) -> String {
    let mut x = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if x < 1000.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{x:.1} {unit}") };
        }
        x /= 1000.0;
    }
    format!("{x:.1} TB")
}

/// Formats a shape, for example `64 x 3 x 7 x 7`. The text for a shape without axes is `scalar`.
pub fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// Escapes the control characters of a name (see [`is_control`]). A name from a file then cannot move the cursor, or
/// change the colors or the text direction of a terminal.
pub fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, character| {
        if is_control(character) {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
        text
    })
}

/// Returns true if a character is a control character or changes the direction of text. Marks, embeddings, overrides
/// and isolates of Unicode's bidirectional algorithm change the direction, for example U+202E.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Groups items that have equal texts. Each element of `all` is an item and its text. Returns each distinct text with
/// its items. The texts are in the order of their first occurrence.
pub fn grouped<T, Text: Eq + Hash>(all: impl Iterator<Item = (T, Text)>) -> Vec<(Text, Vec<T>)> {
    let mut indices: HashMap<Text, usize> = HashMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    for (item, text) in all {
        let index = *indices.entry(text).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups[index].push(item);
    }
    let mut texts: Vec<(Text, usize)> = indices.into_iter().collect();
    texts.sort_unstable_by_key(|(_, index)| *index);
    texts.into_iter().map(|(text, _)| text).zip(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_formatted_with_units_and_separators() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.02, "0.02"),
            (0.0040824829, "0.004082"),
            (1234567.0, "1.235e6"),
            (1.23456e-8, "1.235e-8"),
            (1e-5, "1e-5"),
            (123456.7, "123457"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(short(x), text);
        }
        assert_eq!(count(124_439_808), "124,439,808");
        assert_eq!(count(7), "7");
        assert_eq!(bytes(497_759_232), "497.8 MB");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(shape(&[64, 3]), "64 x 3");
        assert_eq!([0.0, 999.6, 53e6, 1.25e9].map(rough), ["0", "1 k", "53 M", "1.2 G"]);
    }

    #[test]
    fn groups_are_in_the_order_of_their_first_items() {
        let grouped = grouped([(1, "b"), (2, "a"), (3, "b"), (4, "c")].into_iter());
        assert_eq!(grouped, [("b", vec![1, 3]), ("a", vec![2]), ("c", vec![4])]);
    }
}
