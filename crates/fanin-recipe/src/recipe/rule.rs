//! Rules of a recipe. A rule assigns an initializer, an action such as `copy`, or a dtype to the tensors whose names
//! match a pattern.

use super::copy::CopyRule;
use super::glob::Glob;
use super::source::Span;
use crate::error::Result;

/// A rule: a pattern, and an [`Assignment`] or a dtype for the tensors whose names match the pattern.
#[derive(Debug, Clone)]
pub(super) struct Rule<T> {
    pub(super) pattern: Pattern,
    /// The parsed value of the rule: an [`Assignment`] under `[init]`, a dtype under `[dtype]`.
    pub(super) value: T,
    /// The value as it is written in the recipe.
    pub(super) text: String,
    /// The span of the value.
    pub(super) span: Span,
    /// True if the rule comes from a recipe that this recipe extends. Such a rule need not be used.
    pub(super) inherited: bool,
}

/// A glob pattern on names.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: String,
    pub(super) span: Span,
    /// The parsed pattern. `None` if the pattern has no wildcards.
    pub(super) matcher: Option<Glob>,
}

impl Pattern {
    /// Parses a pattern. Returns an error at `span` if the pattern is invalid.
    pub(super) fn new(text: &str, span: Span) -> Result<Self> {
        // A pattern without wildcards has no matcher, because comparing or hashing names is faster.
        if !Glob::has_wildcards(text) {
            return Ok(Pattern { text: text.to_owned(), span, matcher: None });
        }
        let matcher = Glob::parse(text).map_err(|error| {
            let remedy = "* matches any text, ? one character, [ab] one of the characters, {one,two} one of the texts, \
                          {0..11} one of the numbers; write a bracket as [[]";
            span.error(format!("{text:?} is not a valid pattern: {error}"), remedy)
        })?;
        Ok(Pattern { text: text.to_owned(), span, matcher: Some(matcher) })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        self.matcher.as_ref().map_or(self.text == name, |matcher| matcher.matches(name))
    }
}

/// The value of a rule of `[init]`: how the matched tensors get their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Assignment {
    /// Values of the initializer that the spec describes.
    Spec,
    /// 0, 1, 2, ... along the last axis.
    Arange,
    /// Values of a checkpoint: the checkpoint from which names and shapes were read, or another checkpoint.
    Copy(CopyRule),
    /// No values, because the tensor is not written.
    Skip,
}

impl Assignment {
    /// The words that may be written instead of a spec.
    pub(super) const WORDS: [&'static str; 3] = ["arange", "copy", "skip"];

    /// Returns the assignment for the value of a rule. Any text except `arange`, `skip`, `copy` and `copy(...)` is a
    /// spec, which is not parsed here. If the arguments of `copy` are invalid, returns an error message.
    pub(super) fn of(text: &str) -> std::result::Result<Self, String> {
        Ok(match text.trim() {
            "arange" => Assignment::Arange,
            "skip" => Assignment::Skip,
            text => match CopyRule::parse(text) {
                Some(copy) => Assignment::Copy(copy?),
                None => Assignment::Spec,
            },
        })
    }

    /// Returns true if the rule copies or skips the matched tensors. Rules of `[dtype]` do not apply to these tensors.
    pub(super) fn keeps_values(&self) -> bool {
        matches!(self, Assignment::Copy(_) | Assignment::Skip)
    }
}
