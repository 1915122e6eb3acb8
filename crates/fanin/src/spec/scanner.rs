//! The scanner: reads tokens from the text of a spec.

use super::variables::Variables;
use crate::error::SpecError;

/// The greatest nesting depth of parentheses, signs and specs. Without a limit, the recursion could overflow the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// A position in the text of a spec, and the variables that the arithmetic of the spec can use.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    /// The byte offset of the next character.
    pub(super) at: usize,
    /// The current nesting depth, at most [`MAX_DEPTH`].
    pub(super) depth: usize,
    pub(super) variables: &'a dyn Variables,
    /// What is known of the tensor.
    pub(super) tensor: TensorContext<'a>,
    /// Whether the spec that is being read has used a property of the tensor that is not known yet.
    pub(super) is_deferred: bool,
    /// The variables that have been read so far: the byte range of the name, and the value.
    pub(super) substitutions: Vec<(std::ops::Range<usize>, f64)>,
}

/// What is known of a tensor while its spec is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TensorContext<'a> {
    /// The shape. If it is not known, a spec that uses it is read again for each shape.
    pub(super) shape: Option<&'a [usize]>,
    /// The index of the tensor in the stack.
    pub(super) index: Option<usize>,
    /// Whether the tensor is one of a stack, so that it has an index.
    pub(super) is_stacked: bool,
}

impl<'a> Scanner<'a> {
    /// Returns a scanner at the start of `text`.
    pub(super) fn new(text: &'a str, variables: &'a dyn Variables, tensor: TensorContext<'a>) -> Self {
        Self { text, at: 0, depth: 0, variables, tensor, is_deferred: false, substitutions: Vec::new() }
    }

    /// Returns an error about the character at byte offset `at`.
    pub(super) fn error<T>(
        &self,
        at: usize,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Result<T, SpecError> {
        Err(SpecError { text: self.text.to_owned(), at, message: message.into(), help })
    }

    /// Increases the nesting depth by one. After the nested text has been read, the caller must decrease the depth
    /// again with `self.depth -= 1`.
    ///
    /// # Errors
    /// Returns an error if the nesting is deeper than [`MAX_DEPTH`].
    pub(super) fn enter(&mut self) -> Result<(), SpecError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error(self.at, format!("nested more than {MAX_DEPTH} deep"), None);
        }
        Ok(())
    }

    /// Skips white space and returns the remaining text.
    pub(super) fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    /// Skips white space. If the text then continues with `token`, skips the token and returns true. Otherwise returns
    /// false.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Skips white space and `token`.
    ///
    /// # Errors
    /// Returns an error if the text does not continue with `token`. `context` completes the sentence "expected TOKEN
    /// ...".
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

    /// Skips white space and an identifier, and returns the identifier. Returns `None` if the text does not continue
    /// with an identifier.
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
