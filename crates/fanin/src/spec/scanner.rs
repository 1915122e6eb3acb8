//! The scanner, which reads tokens from the text of a spec.

use super::variables::Variables;
use crate::error::SpecError;

/// The greatest nesting depth of parentheses, signs and specs. Without a limit, the recursion could overflow the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// The state of the parser: the text of a spec, the position in the text, and the variables for the arithmetic.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    /// The byte offset of the next character.
    pub(super) at: usize,
    /// The current nesting depth, at most [`MAX_DEPTH`].
    pub(super) depth: usize,
    pub(super) variables: &'a dyn Variables,
    /// The known properties of the tensor for which the spec is parsed.
    pub(super) tensor: TensorContext<'a>,
    /// `true` if the current spec has used a property of the tensor, and this property is not known yet.
    pub(super) is_deferred: bool,
    /// The variables that have been read so far. Each entry is the byte range of the variable's name, and its value.
    pub(super) substitutions: Vec<(std::ops::Range<usize>, f64)>,
}

/// The properties of a tensor that are known while the spec of the tensor is parsed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TensorContext<'a> {
    /// The shape, or `None` if the shape is not known yet.
    pub(super) shape: Option<&'a [usize]>,
    /// The index of the tensor in the stack, or `None` if the index is not known yet.
    pub(super) index: Option<usize>,
    /// `true` if the tensor is part of a stack. Only such a tensor has an index.
    pub(super) is_stacked: bool,
}

impl<'a> Scanner<'a> {
    /// Returns a scanner at the start of `text`.
    pub(super) fn new(text: &'a str, variables: &'a dyn Variables, tensor: TensorContext<'a>) -> Self {
        Self { text, at: 0, depth: 0, variables, tensor, is_deferred: false, substitutions: Vec::new() }
    }

    /// Returns an error about the character at the byte offset `at`.
    pub(super) fn error<T>(
        &self,
        at: usize,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Result<T, SpecError> {
        Err(SpecError { text: self.text.to_owned(), at, message: message.into(), help })
    }

    /// Increases the nesting depth by one. The caller must execute `self.depth -= 1` after the nested text has been
    /// read.
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
    /// Returns an error if the text does not continue with `token`. The message is
    /// `expected "TOKEN" CONTEXT, found 'x'`.
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
