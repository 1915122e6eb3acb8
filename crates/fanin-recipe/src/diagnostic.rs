//! A diagnostic: one mistake in a recipe, with its position, the line of text and a remedy.

use std::fmt::{self, Display};
use std::path::PathBuf;

/// One mistake in a recipe.
///
/// [`Display`] prints three lines: file, line, column and message; the line of text; and marks (`^`) under the mistake,
/// followed by the remedy.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The path of the recipe file, or the name of a built-in recipe.
    pub path: PathBuf,
    /// The line number, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it. May be empty.
    pub remedy: String,
    /// The line of text. Of a long line, only the characters around the mistake.
    pub(crate) excerpt: Box<str>,
    /// The number of characters of `excerpt` before the marks.
    pub(crate) marks_start: usize,
    /// The number of marks.
    pub(crate) marks_length: usize,
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, message, remedy, excerpt, marks_start, marks_length } = self;
        write!(f, "{}:{line}:{column}: {message}", path.display())?;
        let (number, margin) = (line.to_string(), line.to_string().len());
        let marks = "^".repeat(*marks_length);
        write!(f, "\n  {number} | {excerpt}\n  {:margin$} | {:marks_start$}{marks}", "", "")?;
        if remedy.is_empty() { Ok(()) } else { write!(f, " {remedy}") }
    }
}
