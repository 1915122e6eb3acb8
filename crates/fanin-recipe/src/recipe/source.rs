//! The text of a recipe, and spans. A span is a range of the text. A diagnostic shows the line and the column at which
//! its span begins.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::toml_string;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};

/// The text of a recipe, and the path of its file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The byte offset at which each line begins.
    line_starts: Vec<usize>,
    /// The maximum number of characters of a line that a diagnostic shows.
    max_excerpt: usize,
}

impl Source {
    /// Returns the source of a recipe. `is_base` is true if another recipe extends this recipe. Diagnostics then show
    /// shorter excerpts, because the user may not have intended to open this file.
    pub(super) fn new(path: &Path, text: &str, is_base: bool) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = [0].into_iter().chain(breaks.map(|(offset, _)| offset + 1)).collect();
        let max_excerpt = if is_base { 80 } else { 120 };
        Self { path: path.to_owned(), text: text.to_owned(), line_starts, max_excerpt }
    }

    /// Returns the line and the column of the character at a byte offset. Lines and columns are counted from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= offset).max(1);
        let before = self.text.get(self.line_starts[line - 1]..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// A range of bytes in the text of a recipe.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) source: Arc<Source>,
    pub(super) range: Range<usize>,
}

impl Span {
    pub(super) fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        Self { source: source.clone(), range }
    }

    /// Returns the position of the span's first character as `file:line:column`.
    pub(super) fn location(&self) -> String {
        let (line, column) = self.source.position(self.range.start);
        format!("{}:{line}:{column}", self.source.path.display())
    }

    /// Returns a diagnostic at this span. The remedy may be empty.
    pub(super) fn diagnostic(&self, message: impl Into<String>, remedy: impl Into<String>) -> Diagnostic {
        let Source { path, text, line_starts, max_excerpt } = &*self.source;
        let (line, column) = self.source.position(self.range.start);
        let first_line = |text: Option<&'_ str>| -> String {
            text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
        };
        let whole = first_line(text.get(line_starts[line - 1]..));
        let mistake = first_line(text.get(self.range.clone()));
        let length = mistake.trim_end().chars().count().max(1);
        // Control characters are replaced by spaces. A tab, for example, would move the marks away from the mistake.
        let printable = whole.chars().map(|c| if c.is_control() { ' ' } else { c });
        let (excerpt, marks_start, marks_length) =
            excerpt(&printable.collect::<Vec<_>>(), column - 1, length, *max_excerpt);
        Diagnostic {
            path: path.clone(),
            line,
            column,
            message: shortened(&message.into()),
            remedy: shortened(&remedy.into()),
            excerpt: excerpt.into(),
            marks_start,
            marks_length,
        }
    }

    /// Returns an error with one diagnostic at this span. The remedy may be empty.
    pub(super) fn error(&self, message: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Recipe(vec![self.diagnostic(message, remedy)])
    }

    /// Converts an error about a spec to an error with one diagnostic. `self` must be the span of the TOML string that
    /// contains the spec. The message begins with `context`.
    ///
    /// The diagnostic marks the word or the character at the error's offset. If the error has no offset, the diagnostic
    /// marks the whole span.
    pub(super) fn spec_error(&self, context: &str, error: fanin::Error) -> Error {
        let context = if context.is_empty() { String::new() } else { format!("{context}: ") };
        let fanin::Error::Spec(error) = error else {
            return self.error(format!("{context}{error}"), "");
        };
        let raw = self.source.text.get(self.range.clone()).unwrap_or_default();
        let start = self.range.start + toml_string::raw_offset(raw, error.at);
        let rest = self.source.text.get(start..self.range.end).unwrap_or_default();
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match rest.find(|c| !in_word(c)).unwrap_or(rest.len()) {
            0 => rest.chars().next().map_or(0, char::len_utf8),
            length => length,
        };
        let span = Span { source: self.source.clone(), range: start..start + length };
        span.error(format!("{context}{}", error.message), error.help.unwrap_or_default())
    }
}

/// Shortens a line to at most `max` characters around a mistake. The mistake starts at `line[before]` and has `length`
/// characters. Returns the shortened line, and the mistake's start and length in this line, in characters.
fn excerpt(line: &[char], before: usize, length: usize, max: usize) -> (String, usize, usize) {
    const DOTS: &str = "...";
    if line.len() <= max {
        return (line.iter().collect(), before, length);
    }
    let room = max - 2 * DOTS.len();
    let start = before.saturating_sub(room / 2).min(line.len() - room);
    let (lead, end) = (if start > 0 { DOTS } else { "" }, start + room);
    let trail = if end < line.len() { DOTS } else { "" };
    let text = format!("{lead}{}{trail}", line[start..end].iter().collect::<String>());
    (text, before - start + lead.len(), length.min(end.saturating_sub(before)).max(1))
}

/// Shortens each line with more than 400 characters. The middle of the line is replaced by dots.
fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 400;
    let short = |line: &str| {
        let count = line.chars().count();
        if count <= MAX_CHARACTERS {
            return line.to_owned();
        }
        let begin: String = line.chars().take(MAX_CHARACTERS * 5 / 8).collect();
        let end: String = line.chars().skip(count - MAX_CHARACTERS / 4).collect();
        format!("{begin} ... {end}")
    };
    text.split('\n').map(short).collect::<Vec<_>>().join("\n")
}

/// Returns an error with all diagnostics, or `Ok` if there are no diagnostics.
pub(super) fn into_result(diagnostics: Vec<Diagnostic>) -> Result {
    if diagnostics.is_empty() { Ok(()) } else { Err(Error::Recipe(diagnostics)) }
}

/// Returns the text of a recipe file. Returns an error if the file cannot be read or is not UTF-8 text.
pub(super) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Error::file(
            path,
            format!("a recipe must be UTF-8 text, but the byte at offset {offset} is not valid UTF-8"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shortened_around_the_mistake() {
        let x = "x".repeat(100_000);
        for (text, is_base, max) in [
            (format!("a = \"{x}\" + fault + \"{x}\""), false, 120),
            (format!("a = \"{x}\" + fault"), true, 80),
            (format!("fault = \"{x}\""), true, 80),
        ] {
            let source = Arc::new(Source::new(Path::new("r.toml"), &format!("# one\n{text}\n"), is_base));
            let start = 6 + text.find("fault").unwrap();
            let diagnostic =
                Span::new(&source, start..start + 5).diagnostic(format!("no {x} here"), "correct it");
            let printed = diagnostic.to_string();
            let lines: Vec<&str> = printed.lines().collect();
            assert_eq!(diagnostic.column, start - 5);
            assert!(lines[0].chars().count() < 500 && lines[0].ends_with("x here"), "{printed}");
            assert!(lines[1].chars().count() <= max + "  2 | ".len(), "{printed}");
            let mark = lines[2].find('^').unwrap();
            assert_eq!(&lines[1][mark..mark + 5], "fault", "{printed}");
            assert!(lines[2].ends_with("^^^^^ correct it"), "{printed}");
        }
        // In this text, the mistake is longer than the maximum length of an excerpt.
        let source = Arc::new(Source::new(Path::new("r.toml"), &x, false));
        let printed = Span::new(&source, 0..x.len()).diagnostic("all of it", "").to_string();
        assert!(printed.lines().all(|line| line.chars().count() <= 126), "{printed}");
    }
}
