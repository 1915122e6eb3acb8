//! [`Diagnostic`]: a mistake in a recipe, with its position, the line of the recipe and a remedy.

use std::fmt::{self, Display};
use std::path::PathBuf;

/// A mistake in a recipe.
///
/// [`Display`] prints three lines. The first line contains the position and the message. The second line shows the line
/// of the recipe that contains the mistake. The third line contains marks (`^`) under the mistake, and the remedy:
///
/// ```text
/// recipe.toml:3:1: unused rule "*.bais": the pattern matches no tensor of this model
///   3 | "*.bais" = "ones"
///     | ^^^^^^^^ correct the pattern, or remove the rule
/// ```
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The path of the recipe file, or the name of a built-in recipe.
    pub path: PathBuf,
    /// The line number of the mistake, counted from 1.
    pub line: usize,
    /// The column at which the mistake begins, in characters and counted from 1.
    pub column: usize,
    /// The description of the mistake.
    pub message: String,
    /// How to correct the mistake. The text may be empty.
    pub remedy: String,
    /// The line of the recipe that contains the mistake. If the line is long, only the part around the mistake.
    pub(crate) excerpt: Box<str>,
    /// The number of characters of `excerpt` before the mistake.
    pub(crate) marks_start: usize,
    /// The number of marks (`^`): one for each wrong character of `excerpt`, and at least 1.
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
