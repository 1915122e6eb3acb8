//! Recipes: which parameter gets which spec. `docs/recipes.md` is the page for those who write one.
//!
//! [`Recipe::parse`] reads the text and what it extends; [`Recipe::apply`] holds it against the tensors of a manifest,
//! each of which becomes a [`Planned`].

mod apply;
mod diagnostic;
pub mod draft;
mod extend;
mod flatten;
mod matching;
mod parse;
mod planned;
pub mod schema;
mod scope;
mod tie;
mod variables;

use std::path::Path;
use std::sync::Arc;

use fanin::DType;
use globset::GlobMatcher;

use crate::error::{Error, Result};
use crate::models::{Model, nearest_model};
use diagnostic::{Source, Span};
use tie::Tie;
use variables::Variable;

pub use diagnostic::Diagnostic;
pub use planned::{Action, Planned};

/// A parsed recipe: variables, types, ties, and rules of which the first that matches wins. What it extends is in it.
#[derive(Debug, Clone)]
pub struct Recipe {
    source: Arc<Source>,
    /// What it extends, as it is called there.
    base: Option<String>,
    /// The built-in model that it is for.
    model: Option<&'static str>,
    variables: Vec<Variable>,
    rules: Vec<Rule<What>>,
    dtypes: Vec<Rule<DType>>,
    ties: Vec<Tie>,
    /// Where rules stand, for diagnostics about one that is missing.
    head: Span,
}

/// A pattern on names, and what those that match get.
#[derive(Debug, Clone)]
struct Rule<T> {
    pattern: Pattern,
    what: T,
    /// What they get, as it is written.
    text: String,
    /// Where that stands.
    span: Span,
    /// Whether it comes from a recipe that this one extends.
    inherited: bool,
}

/// A glob on names.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    span: Span,
    /// Nothing if it is a plain name.
    matcher: Option<GlobMatcher>,
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        self.matcher.as_ref().map_or(self.text == name, |matcher| matcher.is_match(name))
    }
}

/// What a tensor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The values of a spec.
    Spec,
    /// 0, 1, 2 and so on along the last axis.
    Arange,
    /// The values that the file of names and shapes has.
    Copy,
    /// None: it is left out.
    Skip,
}

impl What {
    /// The words that stand in a spec's place.
    const WORDS: [(&'static str, What); 3] =
        [("arange", What::Arange), ("copy", What::Copy), ("skip", What::Skip)];

    fn of(spec: &str) -> Self {
        let word = Self::WORDS.into_iter().find(|(word, _)| *word == spec.trim());
        word.map_or(What::Spec, |(_, what)| what)
    }
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// As [`Recipe::parse`], and if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&diagnostic::read(path)?, path)
    }

    /// The recipe of a built-in model, by its name, or of a file; and the model, if it is one.
    ///
    /// # Errors
    /// A name that is neither, a file that is no recipe.
    pub fn find(name: &str) -> Result<(Self, Option<&'static Model>)> {
        if let Some(model) = Model::find(name) {
            return Ok((Self::built_in(model)?, Some(model)));
        }
        let path = Path::new(name);
        // Models have dots in their names, so a misspelled model may look like a file.
        let named_as_recipe =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        if path.exists() || named_as_recipe || path.components().count() > 1 {
            return Ok((Self::read(path)?, None));
        }
        Err(Error::UnknownRecipe { name: name.to_owned(), suggestion: nearest_model(name) })
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The file it was read from, or what diagnostics call it.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// The recipe that it extends, as it is called there.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }
}
