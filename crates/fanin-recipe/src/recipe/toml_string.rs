//! Writes TOML strings and keys. Also converts an offset in the value of a TOML string to an offset in its source text.

use std::fmt::Write as _;

/// Returns `text` as a TOML string in double quotes, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => _ = write!(out, "\\u{:04X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns `name` as a TOML key. The key has quotes only if TOML requires quotes.
pub(super) fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// Converts a byte offset in the value of a TOML string to a byte offset in `raw`. `raw` is the source text of the
/// string, with quotes and escapes.
pub(super) fn raw_offset(raw: &str, offset: usize) -> usize {
    let (quotes, has_escapes) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] => (3, true),
        [b'\'', b'\'', b'\'', ..] => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => (0, false),
    };
    let mut position = quotes;
    if quotes == 3 {
        // In TOML, a line break directly after the opening quotes is not part of the value.
        let rest = &raw[position..];
        position += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let mut value = 0;
    while value < offset {
        let Some(character) = raw[position..].chars().next() else { break };
        let (raw_bytes, value_bytes) = match (character, has_escapes) {
            ('\\', true) => escape(&raw[position..]),
            _ => (character.len_utf8(), character.len_utf8()),
        };
        position += raw_bytes;
        value += value_bytes;
    }
    // A backslash at the end of a line and the white space after it are not part of the value.
    while has_escapes && raw[position..].starts_with('\\') {
        let (raw_bytes, value_bytes) = escape(&raw[position..]);
        if value_bytes > 0 {
            break;
        }
        position += raw_bytes;
    }
    position.min(raw.len().saturating_sub(quotes))
}

/// Returns the length of the escape sequence at the beginning of `raw`, and the length of its value, in bytes. For
/// example, `\u00E9` has the lengths 6 and 2.
fn escape(raw: &str) -> (usize, usize) {
    let digits = |count: usize| {
        let code = raw.get(2..2 + count).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (2 + count, code.and_then(char::from_u32).map_or(1, char::len_utf8))
    };
    match raw.as_bytes().get(1) {
        Some(b'x') => digits(2),
        Some(b'u') => digits(4),
        Some(b'U') => digits(8),
        Some(b'b' | b't' | b'n' | b'f' | b'r' | b'e' | b'"' | b'\\') => (2, 1),
        // A backslash at the end of a line, and the white space after it, represent no text.
        Some(_) => (raw.len() - raw[1..].trim_start().len(), 0),
        None => (1, 1),
    }
}
