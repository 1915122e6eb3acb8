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

/// A parsed recipe: rules that say how each parameter of a model is initialized.
///
/// The first rule whose pattern matches a name wins. If the recipe extends another recipe, this struct contains the
/// rules, variables and ties of both.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub(super) source: Arc<Source>,
    /// The value of `extends`: the name of the recipe that this recipe extends.
    pub(super) base: Option<String>,
    /// The name of the built-in model to which the recipe belongs. `None` if the recipe is not that of a built-in
    /// model.
    pub(super) model: Option<&'static str>,
    pub(super) variables: Vec<Variable>,
    pub(super) rules: Vec<Rule<Assignment>>,
    pub(super) dtypes: Vec<Rule<DType>>,
    pub(super) ties: Vec<Tie>,
    /// The span of the `[init]` header, for diagnostics about a missing rule.
    pub(super) init_span: Span,
}

impl Recipe {
    /// Returns the text that the recipe was parsed from.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// Returns the path that was passed to [`Recipe::parse`] or [`Recipe::read`], or the file name of a built-in
    /// recipe. Diagnostics show this path.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Returns the value of `extends`, which is the name of the recipe that this recipe extends. Returns `None` if this
    /// recipe extends no other recipe.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Returns the canonical name of a tensor: the name to which `name` is tied, or `name` itself if it is not tied.
    pub fn canonical_name<'a>(&'a self, name: &'a str) -> &'a str {
        let tie = self.ties.iter().find(|tie| tie.alias == name);
        tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(name)
    }

    /// Returns whether the recipe draws no values for a tensor of this name, because the winning rule is `copy` or
    /// `skip`.
    pub fn keeps_values(&self, name: &str) -> bool {
        let name = self.canonical_name(name);
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(name));
        rule.is_some_and(|rule| rule.value.keeps_values())
    }
}
