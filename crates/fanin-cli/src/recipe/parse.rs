//! The text of a recipe: TOML whose every complaint has a line and a column.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use globset::GlobBuilder;
use toml::de::{DeTable, DeValue};

use super::{Recipe, Rule};
use crate::error::{Error, Result, did_you_mean};

/// What a spec calls the numbers of the parameter that it is for: its fans, those of the weight that stands beside a bias,
/// and the first number in its name, which is its layer's.
pub(super) const OWN: [&str; 5] = ["fan_in", "fan_out", "weight_fan_in", "weight_fan_out", "layer"];

impl Recipe {
    /// Reads a recipe. `path` is for messages.
    ///
    /// # Errors
    /// TOML that does not parse, with line and column; tables or values that have no meaning here.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |span: Range<usize>, message: String| {
            let (line, column) = place(text, span.start);
            Error::Request(format!("{}:{line}:{column}: {message}", path.display()))
        };
        let table = DeTable::parse(text).map_err(|error| {
            wrong(error.span().unwrap_or_default(), error.to_string().trim_end().to_owned())
        })?;
        let mut variables = BTreeMap::new();
        let mut rules = Vec::new();
        // The tables keep the order of the text: the parser's `preserve_order`.
        for (key, value) in table.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("vars", DeValue::Table(vars)) => {
                    for (name, value) in vars {
                        let name_text = name.get_ref().as_ref();
                        if OWN.contains(&name_text) {
                            let message =
                                format!("the variable {name_text} is each parameter's own and cannot be set");
                            return Err(wrong(name.span(), message));
                        }
                        let number = number(value.get_ref()).ok_or_else(|| {
                            let found = text.get(value.span()).unwrap_or_default();
                            wrong(value.span(), format!("the variable {name_text} = {found} is not a number"))
                        })?;
                        variables.insert(name_text.to_owned(), number);
                    }
                }
                ("init", DeValue::Table(init)) => {
                    for (pattern, value) in init {
                        let (line, _) = place(text, pattern.span().start);
                        let pattern_text = pattern.get_ref().as_ref();
                        let DeValue::String(spec) = value.get_ref() else {
                            let example = match value.get_ref() {
                                DeValue::Table(_) => "a name with dots must stand in quotes",
                                _ => "write it as \"normal(std=0.02)\"",
                            };
                            let message = format!("the rule {pattern_text:?} has no spec: {example}");
                            return Err(wrong(value.span(), message));
                        };
                        // A name is no path: a star stands for anything at all.
                        let matcher = GlobBuilder::new(pattern_text)
                            .literal_separator(false)
                            .build()
                            .map_err(|error| wrong(pattern.span(), error.to_string()))?
                            .compile_matcher();
                        let (pattern, spec) = (pattern_text.to_owned(), spec.as_ref().to_owned());
                        rules.push(Rule { pattern, spec, line, matcher });
                    }
                }
                (name @ ("vars" | "init"), _) => {
                    return Err(wrong(key.span(), format!("{name} is a table: begin it with [{name}]")));
                }
                (name, _) => {
                    let hint = did_you_mean(name, ["vars", "init"]);
                    let message =
                        format!("{name:?} has no meaning here{hint}; a recipe has [vars] and [init]");
                    return Err(wrong(key.span(), message));
                }
            }
        }
        if rules.is_empty() {
            return Err(Error::file(path, "there are no rules: write them under [init]"));
        }
        Ok(Self { path: path.to_owned(), text: text.to_owned(), variables, rules })
    }
}

/// A number of TOML, with its underscores, bases and infinities.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// Line and column, from 1, of the character at a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string()
    }

    #[test]
    fn every_complaint_has_its_place() {
        for (text, place, needle) in [
            ("[vars]\nn = \"x\"\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "n = \"x\" is not a number"),
            ("[vars]\nn = true\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "not a number"),
            (
                "[vars]\nfan_in = 2\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:1: ",
                "fan_in is each parameter's own",
            ),
            ("[int]\n\"*\" = \"zeros\"", "r.toml:1:2: ", "did you mean init?"),
            ("seed = 3\n[init]\n\"*\" = \"zeros\"", "r.toml:1:1: ", "\"seed\" has no meaning here"),
            ("init = \"zeros\"", "r.toml:1:1: ", "begin it with [init]"),
            ("[init]\n\"*\" = 3", "r.toml:2:7: ", "has no spec"),
            ("# é\ninit.\"é\" = 3", "r.toml:2:12: ", "has no spec"),
            ("[init]\n\"[\" = \"zeros\"", "r.toml:2:1: ", "["),
            ("[init]\n\"*\" = \"zeros", "r.toml:2:", "invalid basic string"),
            ("[init\n", "r.toml:1:", "unclosed table"),
            ("[init]\n\"*\" = \"zeros\"\n\"*\" = \"ones\"", "r.toml:3:1: ", "duplicate key"),
            ("", "r.toml: ", "no rules"),
        ] {
            let error = error(text);
            assert!(error.starts_with(place) && error.contains(needle), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_and_order_are_those_of_the_text() {
        let text = "[vars]\na = 1_000\nb = 0x10\nc = -2.5e-1\nd = inf\n[init]\n\"z*\" = \"zeros\"\n\"a*\" = \"ones\"\n\
                    \"*\" = \"zeros\"";
        let recipe = Recipe::parse(text, Path::new("r.toml")).unwrap();
        let variables: Vec<f64> = recipe.variables.values().copied().collect();
        assert_eq!(variables, [1000.0, 16.0, -0.25, f64::INFINITY]);
        let rules: Vec<(&str, usize)> =
            recipe.rules.iter().map(|rule| (rule.pattern.as_str(), rule.line)).collect();
        assert_eq!(rules, [("z*", 7), ("a*", 8), ("*", 9)]);
    }

    #[test]
    fn a_key_that_stands_twice_in_the_text_has_its_own_line() {
        let text = "[vars]\nsteps = 1\n# steps = \n[init]\nsteps = \"zeros\"";
        assert_eq!(Recipe::parse(text, Path::new("r.toml")).unwrap().rules[0].line, 5);
    }
}
