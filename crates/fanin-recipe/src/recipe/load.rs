//! Reads a recipe and the recipes that the recipe extends.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::definition::Recipe;
use super::parse::parse;
use super::rule::Rule;
use super::source::{self, Span};
use super::tie::check_ties;
use super::variable::words;
use crate::error::{Error, Result, did_you_mean};
use crate::models::{MODELS, Model, nearest_model};

impl Recipe {
    /// Parses a recipe. If the recipe extends another recipe (its base recipe), loads the base recipe too.
    ///
    /// Error messages show `path`. If `extends` names a recipe file, the name is relative to the parent folder of
    /// `path`.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the base recipe cannot be read, and [`Error::File`] if it is not UTF-8 text. Returns
    /// [`Error::Recipe`], with a line and a column in each diagnostic, in these cases:
    ///
    /// - The TOML is invalid, or a key, a pattern or a value is invalid. Specs are checked only by [`Recipe::plan`].
    /// - The recipe has no rules.
    /// - The canonical tensor of a tie is itself tied.
    /// - The base recipe does not exist, or is outside the folder of the recipe.
    /// - The recipe has a base recipe, and defines a new variable that no rule uses.
    /// - Recipes extend each other in a cycle.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        load(text, path, &Chain(vec![Link::File(canonical(path))]))
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// Returns the same errors as [`Recipe::parse`]. Also returns [`Error::Io`] if the file cannot be read, and
    /// [`Error::File`] if the file is not UTF-8 text.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&source::read(path)?, path)
    }

    /// Returns the recipe of a built-in model.
    ///
    /// # Errors
    /// Returns an error if the recipe is invalid. A test parses every built-in recipe, so this error does not occur in
    /// practice.
    pub fn built_in(model: &Model) -> Result<Self> {
        let chain = Chain(vec![Link::BuiltIn(model.recipe_name)]);
        let mut recipe = load(model.recipe_toml, Path::new(model.recipe_name), &chain)?;
        // Inherited ties may be unused. For example, a checkpoint without the head may lack both tensors of a tie.
        recipe.ties.iter_mut().for_each(|tie| tie.inherited = true);
        recipe.model = Some(model.name);
        Ok(recipe)
    }

    /// Returns the recipe of the built-in model `name`, and the model. If there is no such model, returns the recipe in
    /// the file `name`, and `None`.
    ///
    /// # Errors
    /// Returns [`Error::UnknownRecipe`] if `name` is neither a built-in model nor a file. For a file, returns the same
    /// errors as [`Recipe::read`].
    pub fn find(name: &str) -> Result<(Self, Option<&'static Model>)> {
        if let Some(model) = Model::find(name) {
            return Ok((Self::built_in(model)?, Some(model)));
        }
        let path = Path::new(name);
        // A name with a dot is not always a file name, because some model names contain dots, for example
        // `llama-3.2-1b`.
        let has_recipe_extension =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        if path.exists() || has_recipe_extension || path.components().count() > 1 {
            return Ok((Self::read(path)?, None));
        }
        Err(Error::UnknownRecipe { name: name.to_owned(), suggestion: nearest_model(name) })
    }

    /// Adds the rules, variables and ties of the base recipe `base` to `self`. The rules of `base` come after the rules
    /// of `self`. A rule of `base` is not added if `self` has a rule with the same pattern. The same applies to
    /// variables with the same name, and to ties with the same alias.
    fn extend_from(&mut self, base: Recipe) -> Result {
        let in_base = |name: &str| base.variables.iter().any(|variable| variable.name == name);
        for variable in self.variables.iter().filter(|variable| !in_base(&variable.name)) {
            // A new variable that no rule uses is an error, because its name may be a misspelling of a variable of the
            // base recipe.
            let mut specs = self.rules.iter().chain(&base.rules).map(|rule| rule.text.as_str());
            if !specs.any(|spec| words(spec).any(|word| word == variable.name)) {
                let name = &variable.name;
                let names = base.variables.iter().map(|variable| variable.name.as_str());
                let hint = did_you_mean(name, names.clone());
                let names = names.collect::<Vec<_>>().join(", ");
                let names = if names.is_empty() { "none".to_owned() } else { names };
                let remedy = format!("the variables of {} are: {names}", base.source.path.display());
                return Err(variable.span.error(format!("no rule uses the variable {name}{hint}"), remedy));
            }
        }
        // An unused variable is not an error if the base recipe also defines the variable.
        self.variables.iter_mut().for_each(|variable| variable.inherited = in_base(&variable.name));
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

/// Appends the rules of `base` whose patterns do not occur in `own`, and marks them as inherited.
fn inherit<T>(own: &mut Vec<Rule<T>>, base: Vec<Rule<T>>) {
    let patterns: HashSet<&str> = own.iter().map(|rule| rule.pattern.text.as_str()).collect();
    let mut added: Vec<Rule<T>> =
        base.into_iter().filter(|rule| !patterns.contains(rule.pattern.text.as_str())).collect();
    added.iter_mut().for_each(|rule| rule.inherited = true);
    own.extend(added);
}

/// Parses the recipe `text`, adds its base recipe (`extends`), and checks the result. The last element of `chain` is
/// this recipe.
fn load(text: &str, path: &Path, chain: &Chain) -> Result<Recipe> {
    let is_base = chain.0.len() > 1;
    let (mut recipe, base_span) = parse(text, path, is_base)?;
    if let (Some(name), Some(span)) = (recipe.base.clone(), base_span) {
        recipe.extend_from(load_base(&name, &span, chain)?)?;
    }
    check_ties(&recipe.ties)?;
    if recipe.rules.is_empty() {
        return Err(recipe.init_span.error("the recipe has no rules", "write rules under [init]"));
    }
    Ok(recipe)
}

/// Loads the base recipe `name`: a built-in model, or a file in or below the folder of the extending recipe. Any other
/// path is an error, so that an untrusted recipe cannot read other files. `span` is the position of `name`.
fn load_base(name: &str, span: &Span, chain: &Chain) -> Result<Recipe> {
    if let Some(model) = Model::find(name) {
        let chain = chain.with(Link::BuiltIn(model.recipe_name), span)?;
        return load(model.recipe_toml, Path::new(model.recipe_name), &chain);
    }
    let is_inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(is_inside) {
        let message = format!("{name:?} is outside the folder of this recipe");
        return Err(span.error(message, "move the file to the folder of this recipe or below it"));
    }
    let path = span.source.path.parent().unwrap_or(Path::new("")).join(name);
    if name.is_empty() || !path.is_file() {
        let hint = did_you_mean(name, MODELS.iter().map(|model| model.name));
        let message =
            format!("{name:?} is neither a built-in model nor a file in the folder of this recipe{hint}");
        return Err(span.error(message, "`fanin models` lists the built-in models"));
    }
    let chain = chain.with(Link::File(canonical(&path)), span)?;
    load(&source::read(&path)?, &path, &chain)
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The recipes that are being loaded, to detect cycles. Each recipe extends the next recipe.
#[derive(Debug, Clone)]
struct Chain(Vec<Link>);

/// The identity of a recipe: the file name of a built-in recipe, or the canonical path of a recipe file.
#[derive(Debug, Clone, PartialEq)]
enum Link {
    BuiltIn(&'static str),
    File(PathBuf),
}

impl Chain {
    /// Returns the chain with `link` appended. Returns an error at `span` if the chain already contains `link`.
    fn with(&self, link: Link, span: &Span) -> Result<Self> {
        if let Some(start) = self.0.iter().position(|known| *known == link) {
            let name = |link: &Link| match link {
                Link::BuiltIn(name) => format!("the built-in {name}"),
                Link::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            };
            let cycle: Vec<String> = self.0[start..].iter().chain([&link]).map(name).collect();
            let message = format!("a recipe cannot extend itself: {}", cycle.join(" extends "));
            return Err(span.error(message, "remove this line, or extend another recipe"));
        }
        let mut chain = self.clone();
        chain.0.push(link);
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::Matching;
    use super::super::rule::Pattern;
    use super::super::variable::{Variable, VariableValue};
    use super::*;

    fn parse_error(text: &str) -> String {
        Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string()
    }

    fn line(pattern: &Pattern) -> usize {
        pattern.span.diagnostic("", "").line
    }

    #[test]
    fn the_error_for_every_mistake_contains_its_line_and_column() {
        for (text, location, needle) in [
            (
                "[vars]\nn = \"x\"\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:5: ",
                "\"x\" must contain {} once, at the place of the number",
            ),
            ("[vars]\nn = true\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "not a number"),
            ("[vars]\nn = nan\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "n = nan is not a finite number"),
            (
                "[vars]\nn = -inf\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:5: ",
                "n = -inf is not a finite number",
            ),
            (
                "[vars]\nfan_in = 2\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:1: ",
                "each parameter has its own fan_in",
            ),
            ("[int]\n\"*\" = \"zeros\"", "r.toml:1:2: ", "did you mean init?"),
            ("seed = 3\n[init]\n\"*\" = \"zeros\"", "r.toml:1:1: ", "unknown key \"seed\""),
            ("[replay]\nversion = 1", "r.toml:1:2: ", "the file is a replay, not a recipe"),
            ("init = \"zeros\"", "r.toml:1:1: ", "write [init] on a line"),
            ("[init]\n\"*\" = 3", "r.toml:2:7: ", "must be a string"),
            ("# é\ninit.\"é\" = 3", "r.toml:2:12: ", "must be a string"),
            ("[init]\n\"[\" = \"zeros\"", "r.toml:2:1: ", "["),
            ("[init]\n\"*\" = \"zeros", "r.toml:2:", "invalid basic string"),
            ("[init\n", "r.toml:1:", "unclosed table"),
            ("[init]\n\"*\" = \"zeros\"\n\"*\" = \"ones\"", "r.toml:3:1: ", "duplicate key"),
            ("", "r.toml:1:1: ", "no rules"),
            (
                "[vars]\nn = { cuont = \"*\" }\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:7: ",
                "did you mean count?",
            ),
            (
                "[vars]\nn = { count = 3 }\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:15: ",
                "write a name or a pattern",
            ),
            (
                "[vars]\nn = {}\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:5: ",
                "expected one of count, fan_in, fan_out",
            ),
            (
                "[vars]\nn-l = 3\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:1: ",
                "cannot be the name of a variable",
            ),
            ("[vars]\npi = 3\n[init]\n\"*\" = \"zeros\"", "r.toml:2:1: ", "cannot be the name of a variable"),
            ("[init]\n\"*\" = \"zeros\"\n[dtype]\n\"*\" = \"fp16\"", "r.toml:4:8: ", "unknown dtype fp16"),
            ("[init]\n\"*\" = \"zeros\"\n[tie]\na = \"a\"", "r.toml:4:1: ", "tied to itself"),
            ("[init]\n\"*\" = \"zeros\"\n[tie]\na = \"b\"\nb = \"c\"", "r.toml:4:1: ", "tie \"a\" to \"c\""),
            (
                "[init]\n\"*\" = \"zeros\"\n[tie]\na = \"b\"\nb = \"a\"",
                "r.toml:4:1: ",
                "remove one of the two lines",
            ),
            ("[init]\n\"*\" = \"zeros\"\n[tie]\na.b = \"b\"", "r.toml:4:", "contains dots in quotes"),
            (
                "[init]\n\"*\" = \"zeros\"\n[tie]\na = true",
                "r.toml:4:5: ",
                "\"alias.name\" = \"canonical.name\"",
            ),
        ] {
            let error = parse_error(text);
            assert!(error.starts_with(location) && error.contains(needle), "{text}: {error}");
        }
    }

    #[test]
    fn variables_have_the_numbers_of_the_text_and_rules_are_in_the_order_of_the_text() {
        let text = "[vars]\na = 1_000\nb = 0x10\nc = -2.5e-1\n[init]\n\"z*\" = \"zeros\"\n\"a*\" = \"ones\"\n\
                    \"*\" = \"zeros\"";
        let recipe = Recipe::parse(text, Path::new("r.toml")).unwrap();
        let number = |variable: &Variable| match variable.value {
            VariableValue::Number(number) => number,
            VariableValue::Property(..) | VariableValue::NameNumber(_) => f64::NAN,
        };
        let variables: Vec<f64> = recipe.variables.iter().map(number).collect();
        assert_eq!(variables, [1000.0, 16.0, -0.25]);
        let rules: Vec<(&str, usize)> =
            recipe.rules.iter().map(|rule| (rule.pattern.text.as_str(), line(&rule.pattern))).collect();
        assert_eq!(rules, [("z*", 6), ("a*", 7), ("*", 8)]);
    }

    #[test]
    fn the_line_of_a_rule_is_correct_if_its_key_also_occurs_elsewhere_in_the_text() {
        let text = "[vars]\nsteps = 1\n# steps = \n[init]\nsteps = \"zeros\"";
        assert_eq!(line(&Recipe::parse(text, Path::new("r.toml")).unwrap().rules[0].pattern), 5);
    }

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn rules_of_the_extending_recipe_come_first_and_its_variables_replace_those_of_the_base() {
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
    fn cycles_misspellings_and_missing_files_are_errors_with_a_line_and_column() {
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
            ("extends = \"../a.toml\"", "a.toml:1:11: ", "outside the folder"),
            ("extends = \"b/../../a.toml\"", "a.toml:1:11: ", "outside the folder"),
            ("extends = \"/etc/passwd\"", "a.toml:1:11: ", "outside the folder"),
            ("extends = 3", "a.toml:1:11: ", "the name of a built-in model"),
            ("extends = \"gpt2\"\n[vars]\nn_layers = 3", "a.toml:3:1: ", "did you mean n_layer?"),
            ("extends = \"gpt2\"\n[vars]\nwpe_sdt = 3", "a.toml:3:1: ", "did you mean wpe_std?"),
        ] {
            let error = error("a.toml", text);
            assert!(error.contains(location) && error.contains(needle), "{text}: {error}");
        }
        assert!(Recipe::read(&write(folder.path(), "gpt2.toml", "extends = \"gpt2\"\n")).is_ok());
    }

    #[test]
    fn plain_names_and_patterns_match_in_the_order_of_the_recipe() {
        let text = "[init]\n\"a.*\" = \"zeros\"\n\"a.b\" = \"ones\"\n\"?.b\" = \"ones\"\n\"a.[c]\" = \"ones\"\n\"*\" = \"zeros\"";
        let recipe = Recipe::parse(text, Path::new("r.toml")).unwrap();
        let matching = Matching::new(&recipe.rules);
        assert_eq!(matching.matching("a.b"), [0, 1, 2, 4]);
        assert_eq!(matching.matching("a.c"), [0, 3, 4]);
        assert_eq!(matching.matching("a.[c]"), [0, 4]);
        assert_eq!(matching.matching("b"), [4]);
    }
}
