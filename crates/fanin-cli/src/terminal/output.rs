//! Functions that write lines and JSON to standard output, and messages and warnings to standard error.

use std::io::Write as _;

use serde::Serialize;

use super::json::EscapingFormatter;
use crate::error::Result;
use fanin_recipe::text;

/// Writes a line to standard output.
///
/// # Errors
/// Returns an error if the line cannot be written. If standard output is a closed pipe, [`Error::is_broken_pipe`]
/// returns true for this error.
///
/// [`Error::is_broken_pipe`]: crate::error::Error::is_broken_pipe
pub fn line(text: impl std::fmt::Display) -> Result {
    writeln!(anstream::stdout().lock(), "{text}")?;
    Ok(())
}

/// Writes a line to standard error. Errors are ignored.
pub fn message(text: impl std::fmt::Display) {
    _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes a value as JSON to standard output. The JSON is streamed, so the whole text is never in memory.
///
/// # Errors
/// Returns an error if the text cannot be written.
pub fn json(value: &impl Serialize) -> Result {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let formatter = EscapingFormatter::default();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut serializer).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Writes an error to standard error. Control characters are escaped, because the text may contain names of files and
/// tensors. Line breaks and tabs are not escaped.
pub fn error(error: &impl std::fmt::Display) {
    message(format_args!("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m {}", escaped_lines(&error.to_string())));
}

/// Escapes all control characters of a text except line breaks and tabs.
fn escaped_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|part| {
            let line = part.trim_end_matches(['\n', '\t']);
            text::escaped(line) + &part[line.len()..]
        })
        .collect()
}

/// Writes warnings to standard error, unless `quiet` is true. Each item is the name of a tensor or file, and a message.
/// Equal messages are written once, with the first three names and the number of the other names.
pub fn warnings<'a>(items: impl Iterator<Item = (&'a str, String)>, quiet: bool) {
    const MAX_NAMES: usize = 3;
    if quiet {
        return;
    }
    for (text, names) in text::grouped(items) {
        let shown: Vec<String> = names.iter().take(MAX_NAMES).map(|name| text::escaped(name)).collect();
        let shown = shown.join(", ");
        let more = match names.len().saturating_sub(MAX_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        message(format_args!(
            "\u{1b}[1m\u{1b}[33mwarning:\u{1b}[0m {} ({shown}{more})",
            escaped_lines(&text)
        ));
    }
}
