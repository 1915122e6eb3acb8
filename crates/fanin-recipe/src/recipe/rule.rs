//! Rules: a pattern on tensor names, and what the matched tensors get.

use globset::{GlobBuilder, GlobMatcher};

use super::source::Span;
use crate::error::Result;

/// A rule: a pattern on names, and what the tensors that match it get.
#[derive(Debug, Clone)]
pub(super) struct Rule<T> {
    pub(super) pattern: Pattern,
    /// The parsed value of the rule: an [`Assignment`] under `[init]`, a dtype under `[dtype]`.
    pub(super) value: T,
    /// The value as it is written in the recipe.
    pub(super) text: String,
    /// The span of the value.
    pub(super) span: Span,
    /// Whether the rule comes from a recipe that this one extends.
    pub(super) inherited: bool,
}

/// A glob pattern on names.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) span: Span,
    /// `None` if the pattern is a plain name.
    pub(super) matcher: Option<GlobMatcher>,
}

impl Pattern {
    /// Compiles a pattern.
    pub(super) fn new(text: &str, span: Span) -> Result<Self> {
        // Plain names are found by hashing, which is faster than matching a glob.
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Pattern { text: text.to_owned(), span, matcher: None });
        }
        // A name is not a path: `*` also matches slashes.
        let built = GlobBuilder::new(text).literal_separator(false).build();
        let matcher = built.map_err(|error| {
            let remedy = "* matches any text, ? one character, [ab] one of the characters, {one,two} one of the texts; \
                          write a bracket as [[]";
            span.error(format!("{text:?} is not a valid pattern: {}", error.kind()), remedy)
        })?;
        Ok(Pattern { text: text.to_owned(), span, matcher: Some(matcher.compile_matcher()) })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.matcher.as_ref().map_or(self.text == name, |matcher| matcher.is_match(name))
    }
}

/// What a rule of `[init]` gives a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assignment {
    /// Values by a spec.
    Spec,
    /// 0, 1, 2, ... along the last axis.
    Arange,
    /// The values in the checkpoint that names and shapes come from.
    Copy,
    /// No values: the tensor is not written.
    Skip,
}

impl Assignment {
    /// The words that may be written instead of a spec.
    pub(super) const WORDS: [(&'static str, Assignment); 3] =
        [("arange", Assignment::Arange), ("copy", Assignment::Copy), ("skip", Assignment::Skip)];

    /// Returns the assignment that the value of a rule means.
    pub(super) fn of(text: &str) -> Self {
        let word = Self::WORDS.into_iter().find(|(word, _)| *word == text.trim());
        word.map_or(Assignment::Spec, |(_, assignment)| assignment)
    }

    /// Whether the tensor keeps its values and its dtype: it is copied or skipped.
    pub(super) fn keeps_values(self) -> bool {
        matches!(self, Assignment::Copy | Assignment::Skip)
    }
}
