//! A position in the text of a spec, and the tokens there.

use super::variables::Variables;
use crate::error::SpecError;

/// Parentheses and signs may nest this deep: enough for people, and the stack is safe from the rest.
pub(super) const DEEPEST: usize = 64;

/// A position in the text of a spec.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) variables: &'a dyn Variables,
}

impl<'a> Scanner<'a> {
    pub(super) fn error<T>(
        &self,
        at: usize,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Result<T, SpecError> {
        Err(SpecError { text: self.text.to_owned(), at, message: message.into(), help })
    }

    /// The rest of the text, white space skipped.
    pub(super) fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub(super) fn expect(&mut self, token: &str, context: &str) -> Result<(), SpecError> {
        if self.eat(token) {
            return Ok(());
        }
        let found = match self.rest().chars().next() {
            Some(character) => format!("found {character:?}"),
            None => "the text ends here".to_owned(),
        };
        self.error(self.at, format!("expected {token:?} {context}, {found}"), None)
    }

    pub(super) fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        Some(&rest[..end])
    }
}
