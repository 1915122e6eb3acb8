//! The parsed form of a recipe.

use std::path::Path;
use std::sync::Arc;

use fanin::DType;

use super::rule::{Assignment, Rule};
use super::source::{Source, Span};
use super::tie::Tie;
use super::variable::Variable;

/// The keys that a recipe may have, in the recommended order.
pub(super) const KEYS: [&str; 5] = ["extends", "vars", "init", "dtype", "tie"];

/// A parsed recipe: rules that map patterns of parameter names to initializers.
///
/// The first rule whose pattern matches the name of a parameter applies to the parameter. A recipe that extends another
/// recipe also contains the rules, variables and ties of the other recipe, except those that it replaces. For example,
/// a rule replaces the inherited rule with the same pattern.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub(super) source: Arc<Source>,
    /// The value of `extends`: the name of the recipe that this recipe extends.
    pub(super) base: Option<String>,
    /// The name of the built-in model whose recipe this is, or `None`.
    pub(super) model: Option<&'static str>,
    pub(super) variables: Vec<Variable>,
    pub(super) rules: Vec<Rule<Assignment>>,
    pub(super) dtypes: Vec<Rule<DType>>,
    pub(super) ties: Vec<Tie>,
    /// The position of the `[init]` header, for diagnostics about a missing rule.
    pub(super) init_span: Span,
}

impl Recipe {
    /// Returns the text of the recipe.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// Returns the path that was passed to [`Recipe::parse`] or [`Recipe::read`], or the file name of a built-in
    /// recipe. Diagnostics show this path.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Returns the value of `extends`: the name of the recipe that this recipe extends, or `None`.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Returns the canonical name of the tensor `name`: the name to which `name` is tied, or `name` if the tensor is
    /// not tied.
    pub fn canonical_name<'a>(&'a self, name: &'a str) -> &'a str {
        let tie = self.ties.iter().find(|tie| tie.alias == name);
        tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(name)
    }

    /// Returns true if the rule that applies to the tensor `name` is `copy` or `skip`. No values are drawn for such a
    /// tensor, except the values of `rest` in `copy(rest=...)`.
    pub fn keeps_values(&self, name: &str) -> bool {
        let name = self.canonical_name(name);
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(name));
        rule.is_some_and(|rule| rule.value.keeps_values())
    }
}
