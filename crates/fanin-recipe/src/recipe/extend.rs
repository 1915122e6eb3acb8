//! `extends`: a recipe that stands on another.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::diagnostic::{self, Span};
use super::{Recipe, Rule};
use crate::error::{Result, did_you_mean};
use crate::models::{MODELS, Model};

/// The recipes that are being read, each extended by the one before it.
#[derive(Debug, Default, Clone)]
pub(super) struct Chain(Vec<Link>);

/// A recipe, by what tells it from others.
#[derive(Debug, Clone, PartialEq)]
enum Link {
    BuiltIn(&'static str),
    File(PathBuf),
}

impl Chain {
    /// The chain that begins with a text of this path.
    pub(super) fn new(path: &Path) -> Self {
        Chain(vec![Link::File(canonical(path))])
    }

    /// The chain that begins with a built-in recipe.
    pub(super) fn built_in(model: &Model) -> Self {
        Chain(vec![Link::BuiltIn(model.recipe_name)])
    }

    /// Whether the last of them is extended by another.
    pub(super) fn is_base(&self) -> bool {
        self.0.len() > 1
    }

    fn with(&self, link: Link, span: &Span) -> Result<Self> {
        if let Some(at) = self.0.iter().position(|known| *known == link) {
            let name = |link: &Link| match link {
                Link::BuiltIn(name) => format!("the built-in {name}"),
                Link::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            };
            let way: Vec<String> = self.0[at..].iter().chain([&link]).map(name).collect();
            let message = format!("a recipe cannot extend itself: {}", way.join(" extends "));
            return Err(span.error(message, "extend another, or none"));
        }
        let mut chain = self.clone();
        chain.0.push(link);
        Ok(chain)
    }

    /// The recipe called `name` at this place: a built-in model's, or a file beside the one it stands in, or below. A
    /// recipe that somebody sent opens no other files.
    pub(super) fn base(&self, name: &str, span: &Span) -> Result<Recipe> {
        if let Some(model) = Model::find(name) {
            let chain = self.with(Link::BuiltIn(model.recipe_name), span)?;
            return Recipe::parse_in(model.recipe_toml, Path::new(model.recipe_name), &chain);
        }
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(name).components().all(inside) {
            let message = format!("{name:?} leads out of the folder that this recipe is in");
            return Err(span.error(message, "put the file beside this one, and write its name"));
        }
        let path = span.source.path.parent().unwrap_or(Path::new("")).join(name);
        if name.is_empty() || !path.is_file() {
            let hint = did_you_mean(name, MODELS.iter().map(|model| model.name));
            let message = format!("{name:?} is neither a built-in model nor a file beside this recipe{hint}");
            return Err(span.error(message, "`fanin models` lists the models"));
        }
        let chain = self.with(Link::File(canonical(&path)), span)?;
        Recipe::parse_in(&diagnostic::read(&path)?, &path, &chain)
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Recipe {
    /// Reads a built-in model's recipe.
    ///
    /// # Errors
    /// None: they are tested.
    pub fn built_in(model: &Model) -> Result<Self> {
        let mut recipe =
            Self::parse_in(model.recipe_toml, Path::new(model.recipe_name), &Chain::built_in(model))?;
        // Some files have neither name of a tie: those of a model without its head.
        recipe.ties.iter_mut().for_each(|tie| tie.inherited = true);
        recipe.model = Some(model.name);
        Ok(recipe)
    }

    /// Puts a base under this recipe: its rules come after this one's, and what both name is as this one says.
    pub(super) fn stand_on(&mut self, base: Recipe) -> Result {
        let known = |name: &str| base.variables.iter().any(|variable| variable.name == name);
        for variable in self.variables.iter().filter(|variable| !known(&variable.name)) {
            // Whoever misspells a variable of the base sets nothing.
            let rules = self.rules.iter().chain(&base.rules);
            if !rules.map(|rule| rule.text.as_str()).any(|spec| mentions(spec, &variable.name)) {
                let name = &variable.name;
                let names = base.variables.iter().map(|variable| variable.name.as_str());
                let hint = did_you_mean(name, names.clone());
                let names = names.collect::<Vec<_>>().join(", ");
                let names = if names.is_empty() { "none".to_owned() } else { names };
                let remedy = format!("the variables of {} are: {names}", base.source.path.display());
                return Err(variable.span.error(format!("no rule uses the variable {name}{hint}"), remedy));
            }
        }
        // What a base has is for whoever extends it.
        self.variables.iter_mut().for_each(|variable| variable.inherited = known(&variable.name));
        inherit(&mut self.rules, base.rules);
        inherit(&mut self.dtypes, base.dtypes);
        for mut variable in base.variables {
            if self.variables.iter().all(|own| own.name != variable.name) {
                variable.inherited = true;
                self.variables.push(variable);
            }
        }
        for mut tie in base.ties {
            if self.ties.iter().all(|own| own.alias != tie.alias) {
                tie.inherited = true;
                self.ties.push(tie);
            }
        }
        Ok(())
    }
}

fn inherit<T>(own: &mut Vec<Rule<T>>, base: Vec<Rule<T>>) {
    let named: HashSet<&str> = own.iter().map(|own| own.pattern.text.as_str()).collect();
    let mut more: Vec<Rule<T>> =
        base.into_iter().filter(|rule| !named.contains(rule.pattern.text.as_str())).collect();
    more.iter_mut().for_each(|rule| rule.inherited = true);
    own.extend(more);
}

/// Whether a spec has this word.
fn mentions(spec: &str, word: &str) -> bool {
    words(spec).any(|part| part == word)
}

/// The words of a spec, numbers among them.
pub(super) fn words(spec: &str) -> impl Iterator<Item = &str> {
    spec.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn rules_of_the_child_come_first_and_variables_override() {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            "base.toml",
            "[vars]\nn = 2\ns = 1\n[init]\n\"*.bias\" = \"zeros\"\n\"*\" = \"normal(std=s/n)\"\n[tie]\na = \"b\"\nc = \"d\"",
        );
        let text = "extends = \"base.toml\"\n[vars]\nn = 4\n[init]\n\"x.*\" = \"ones\"\n\"*\" = \"normal(std=2*s/n)\"\n[tie]\na = false";
        let recipe = Recipe::read(&write(folder.path(), "child.toml", text)).unwrap();
        let rules: Vec<_> =
            recipe.rules.iter().map(|rule| (rule.pattern.text.as_str(), rule.inherited)).collect();
        assert_eq!(rules, [("x.*", false), ("*", false), ("*.bias", true)]);
        let ties: Vec<_> = recipe.ties.iter().map(|tie| (tie.alias.as_str(), tie.inherited)).collect();
        assert_eq!(ties, [("a", false), ("c", true)]);
        let names: Vec<_> = recipe.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!((names, recipe.base()), (vec!["n", "s"], Some("base.toml")));
    }

    #[test]
    fn cycles_misspellings_and_missing_files_are_errors_at_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            |name: &str, text: &str| Recipe::read(&write(folder.path(), name, text)).unwrap_err().to_string();
        write(folder.path(), "b.toml", "extends = \"c.toml\"\n");
        write(folder.path(), "c.toml", "# c\nextends = \"./a.toml\"\n");
        for (text, location, needle) in [
            ("extends = \"a.toml\"", "a.toml:1:11: ", "a.toml extends a.toml"),
            ("extends = \"b.toml\"", "c.toml:2:11: ", "b.toml extends c.toml extends a.toml"),
            ("extends = \"gtp2\"", "a.toml:1:11: ", "did you mean gpt2?"),
            ("extends = \"no/such.toml\"", "a.toml:1:11: ", "neither a built-in model nor a file"),
            ("extends = \"\"", "a.toml:1:11: ", "neither"),
            ("extends = \"../a.toml\"", "a.toml:1:11: ", "leads out of the folder"),
            ("extends = \"b/../../a.toml\"", "a.toml:1:11: ", "leads out of the folder"),
            ("extends = \"/etc/passwd\"", "a.toml:1:11: ", "leads out of the folder"),
            ("extends = 3", "a.toml:1:11: ", "the name of a built-in model"),
            ("extends = \"gpt2\"\n[vars]\nn_layers = 3", "a.toml:3:1: ", "did you mean n_layer?"),
            ("extends = \"gpt2\"\n[vars]\nwpe_sdt = 3", "a.toml:3:1: ", "did you mean wpe_std?"),
        ] {
            let error = error("a.toml", text);
            assert!(error.contains(location) && error.contains(needle), "{text}: {error}");
        }
        assert!(Recipe::read(&write(folder.path(), "gpt2.toml", "extends = \"gpt2\"\n")).is_ok());
    }
}
