//! Where in a recipe something stands, and diagnostics that point at it.

use std::fmt::{self, Display};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// A recipe's text, and where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// How many characters of a line a diagnostic shows at most.
    most: usize,
}

impl Source {
    /// The text of a file that was asked for, or of one that it extends: of that no more is shown than is needed.
    pub(super) fn new(path: &Path, text: &str, is_base: bool) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = [0].into_iter().chain(breaks.map(|(at, _)| at + 1)).collect();
        let most = if is_base { 80 } else { 120 };
        Self { path: path.to_owned(), text: text.to_owned(), lines, most }
    }

    /// Line and column, from 1, of the character at a byte.
    fn place(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|&start| start <= at).max(1);
        let before = self.text.get(self.lines[line - 1]..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// A stretch of a recipe's text.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) source: Arc<Source>,
    pub(super) span: Range<usize>,
}

/// What is wrong with a recipe, with its place: the file, line and column come first, then the text with a mark under
/// what is at fault, and the remedy.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The file, or the name of a recipe that is built in.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// The line's text, or what of a long one is about the place.
    text: Box<str>,
    /// How many characters of that stand before the fault, and how many are at fault.
    before: usize,
    length: usize,
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, message, remedy, text, before, length } = self;
        write!(f, "{}:{line}:{column}: {message}", path.display())?;
        let (number, margin) = (line.to_string(), line.to_string().len());
        let mark = "^".repeat(*length);
        write!(f, "\n  {number} | {text}\n  {:margin$} | {:before$}{mark}", "", "")?;
        if remedy.is_empty() { Ok(()) } else { write!(f, " {remedy}") }
    }
}

impl Span {
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self { source: source.clone(), span }
    }

    /// File, line and column.
    pub(super) fn location(&self) -> String {
        let (line, column) = self.source.place(self.span.start);
        format!("{}:{line}:{column}", self.source.path.display())
    }

    /// Something wrong here; the remedy may be empty.
    pub(super) fn diagnostic(&self, message: impl Into<String>, remedy: impl Into<String>) -> Diagnostic {
        let Source { path, text, lines, most } = &*self.source;
        let (line, column) = self.source.place(self.span.start);
        let whole = text.get(lines[line - 1]..).unwrap_or_default().lines().next().unwrap_or_default();
        let fault = text.get(self.span.clone()).unwrap_or_default().lines().next().unwrap_or_default();
        let length = fault.trim_end().chars().count().max(1);
        // What would move the cursor would move the mark.
        let shown = whole.chars().map(|c| if c.is_control() { ' ' } else { c });
        let (text, before, length) = about(&shown.collect::<Vec<_>>(), column - 1, length, *most);
        Diagnostic {
            path: path.clone(),
            line,
            column,
            message: shortened(&message.into()),
            remedy: shortened(&remedy.into()),
            text: text.into(),
            before,
            length,
        }
    }

    /// The same as an error.
    pub(super) fn error(&self, message: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Recipe(vec![self.diagnostic(message, remedy)])
    }

    /// What is wrong with the spec that stands here as a string of TOML.
    pub(super) fn spec_error(&self, context: &str, error: fanin::Error) -> Error {
        let context = if context.is_empty() { String::new() } else { format!("{context}: ") };
        let fanin::Error::Spec(wrong) = error else {
            return self.error(format!("{context}{error}"), "");
        };
        let raw = self.source.text.get(self.span.clone()).unwrap_or_default();
        let at = self.span.start + offset(raw, wrong.at);
        // The word at fault, or the one character.
        let rest = self.source.text.get(at..self.span.end).unwrap_or_default();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let length = if length == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { length };
        let span = Span { source: self.source.clone(), span: at..at + length };
        span.error(format!("{context}{}", wrong.message), wrong.help.unwrap_or_default())
    }
}

/// What of a line is about a fault, how many characters stand before that in it, and how many of the fault there are.
fn about(line: &[char], before: usize, length: usize, most: usize) -> (String, usize, usize) {
    const DOTS: &str = "...";
    if line.len() <= most {
        return (line.iter().collect(), before, length);
    }
    let room = most - 2 * DOTS.len();
    // The fault, with what leads to it.
    let start = before.saturating_sub(room / 2).min(line.len() - room);
    let (lead, end) = (if start > 0 { DOTS } else { "" }, start + room);
    let trail = if end < line.len() { DOTS } else { "" };
    let text = format!("{lead}{}{trail}", line[start..end].iter().collect::<String>());
    (text, before - start + lead.len(), length.min(end.saturating_sub(before)).max(1))
}

/// A text without the middle of its lines that are too long to be read.
fn shortened(text: &str) -> String {
    const MOST: usize = 400;
    let short = |line: &str| {
        let count = line.chars().count();
        if count <= MOST {
            return line.to_owned();
        }
        let begin: String = line.chars().take(MOST * 5 / 8).collect();
        let end: String = line.chars().skip(count - MOST / 4).collect();
        format!("{begin} ... {end}")
    };
    text.split('\n').map(short).collect::<Vec<_>>().join("\n")
}

/// All diagnostics as one error, if there are any.
pub(super) fn all(diagnostics: Vec<Diagnostic>) -> Result {
    if diagnostics.is_empty() { Ok(()) } else { Err(Error::Recipe(diagnostics)) }
}

/// Reads a recipe's text.
pub(super) fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::file(path, format!("a recipe is text in UTF-8, and the bytes from {at} on are not"))
    })
}

/// Where in a string of TOML, quotes and escapes included, the byte `at` of its value stands.
fn offset(raw: &str, at: usize) -> usize {
    let (open, escapes) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] => (3, true),
        [b'\'', b'\'', b'\'', ..] => (3, false),
        [b'"', ..] => (1, true),
        [b'\'', ..] => (1, false),
        _ => (0, false),
    };
    let mut place = open;
    if open == 3 {
        // The line break after the quotes is no part of the value.
        let rest = &raw[place..];
        place += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let mut value = 0;
    while value < at {
        let Some(character) = raw[place..].chars().next() else { break };
        let (taken, made) = match (character, escapes) {
            ('\\', true) => escape(&raw[place..]),
            _ => (character.len_utf8(), character.len_utf8()),
        };
        place += taken;
        value += made;
    }
    // A broken line's blanks belong to the escape before them.
    while escapes && raw[place..].starts_with('\\') {
        let (taken, made) = escape(&raw[place..]);
        if made > 0 {
            break;
        }
        place += taken;
    }
    place.min(raw.len().saturating_sub(open))
}

/// How many bytes an escape takes, and how many its value has.
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
        // A backslash before a line's end takes all white space up to the next character.
        Some(_) => (raw.len() - raw[1..].trim_start().len(), 0),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_about_the_place() {
        let x = "x".repeat(100_000);
        for (text, is_base, most) in [
            (format!("a = \"{x}\" + fault + \"{x}\""), false, 120),
            (format!("a = \"{x}\" + fault"), true, 80),
            (format!("fault = \"{x}\""), true, 80),
        ] {
            let source = Arc::new(Source::new(Path::new("r.toml"), &format!("# one\n{text}\n"), is_base));
            let at = 6 + text.find("fault").unwrap();
            let diagnostic = Span::new(&source, at..at + 5).diagnostic(format!("no {x} here"), "mend it");
            let told = diagnostic.to_string();
            let lines: Vec<&str> = told.lines().collect();
            assert_eq!(diagnostic.column, at - 5);
            assert!(lines[0].chars().count() < 500 && lines[0].ends_with("x here"), "{told}");
            assert!(lines[1].chars().count() <= most + "  2 | ".len(), "{told}");
            let mark = lines[2].find('^').unwrap();
            assert_eq!(&lines[1][mark..mark + 5], "fault", "{told}");
            assert!(lines[2].ends_with("^^^^^ mend it"), "{told}");
        }
        // A fault that is longer than what is shown of it.
        let source = Arc::new(Source::new(Path::new("r.toml"), &x, false));
        let told = Span::new(&source, 0..x.len()).diagnostic("all of it", "").to_string();
        assert!(told.lines().all(|line| line.chars().count() <= 126), "{told}");
    }

    #[test]
    fn the_mark_stands_under_the_fault_in_every_kind_of_string() {
        for (toml, wrong) in [
            ("\"normal(std=x)\"", "x"),
            ("'normal(std=x)'", "x"),
            ("\"\\u006eormal(std=x)\"", "x"),
            ("\"norm\\x61l(\\tstd=x)\"", "x"),
            ("\"\"\"\nnormal(\n  std=x)\"\"\"", "x"),
            ("'''\nnormal(\n\n  std=x)'''", "x"),
            ("\"\"\"normal(\\\n     std=x)\"\"\"", "x"),
            ("\"\"\"normal(std=\\\n     x)\"\"\"", "x"),
            ("\"nrmal(std=1)\"", "nrmal"),
            ("\"\\U0000006erm\"", "\\U0000006erm"),
            ("\"normal(std=1\"", "\""),
            ("\"n\u{e9}(1)\"", "n\u{e9}"),
        ] {
            let text = format!("[init]\n\"*\" = {toml}\n");
            let error = super::super::Recipe::parse(&text, Path::new("r.toml"))
                .and_then(|recipe| {
                    let json = r#"{"a": {"dtype": "F32", "shape": [2, 2]}}"#;
                    recipe.apply(&crate::manifest::Manifest::from_json(json, Path::new("m"))?, &[])
                })
                .unwrap_err();
            let Error::Recipe(diagnostics) = error else { panic!("{error}") };
            let [diagnostic] = diagnostics.as_slice() else { panic!("{diagnostics:?}") };
            let line = text.lines().nth(diagnostic.line - 1).unwrap();
            let marked: String = line
                .chars()
                .skip(diagnostic.column - 1)
                .take(diagnostic.length.max(wrong.chars().count()))
                .collect();
            assert_eq!(marked, wrong, "{toml}: {diagnostic}");
        }
    }
}
