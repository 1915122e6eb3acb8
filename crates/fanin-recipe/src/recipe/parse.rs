//! The text of a recipe: TOML whose every diagnostic has a line and a column.

use std::ops::Range;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use fanin::DType;
use globset::GlobBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Source, Span};
use super::extend::Chain;
use super::tie::Tie;
use super::variables::{Reading, Value, Variable};
use super::{Pattern, Recipe, Rule, What};
use crate::error::{Result, did_you_mean};

/// What a spec calls the numbers of the parameter that it is for: its fans, those of the weight that stands beside a bias,
/// and the first number in its name, which is its layer's.
pub(super) const OWN: [&str; 5] = ["fan_in", "fan_out", "weight_fan_in", "weight_fan_out", "layer"];

/// What a recipe may hold, in the order in which it reads best.
pub(super) const MEMBERS: [&str; 5] = ["extends", "vars", "init", "dtype", "tie"];

impl Recipe {
    /// Reads a recipe, and what it extends. `path` is for messages, and what it extends lies beside it.
    ///
    /// # Errors
    /// TOML that does not parse; tables or values that have no meaning here; a base that is not there, or that is the
    /// recipe itself. Each has its line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        Self::parse_in(text, path, &Chain::new(path))
    }

    pub(super) fn parse_in(text: &str, path: &Path, chain: &Chain) -> Result<Self> {
        let source = Arc::new(Source::new(path, text, chain.is_base()));
        let span_of = |span: Range<usize>| Span::new(&source, span);
        let table = DeTable::parse(text).map_err(|error| {
            span_of(error.span().unwrap_or_default()).error(error.message().trim_end(), "")
        })?;
        let mut recipe = Recipe {
            source: source.clone(),
            base: None,
            model: None,
            variables: Vec::new(),
            rules: Vec::new(),
            dtypes: Vec::new(),
            ties: Vec::new(),
            head: span_of(0..0),
        };
        let mut base = None;
        // The tables keep the order of the text: the parser's `preserve_order`.
        for (key, value) in table.get_ref() {
            let span = span_of(value.span());
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("extends", DeValue::String(name)) => {
                    recipe.base = Some(name.to_string());
                    base = Some(chain.base(name, &span)?);
                }
                ("extends", _) => {
                    let message = "extends is the name of a built-in model, or of a recipe file beside this one or below";
                    return Err(span.error(message, "write extends = \"gpt2\""));
                }
                ("vars", DeValue::Table(vars)) => {
                    for (name, value) in vars {
                        recipe.variables.push(variable(&source, name, value)?);
                    }
                }
                ("init", DeValue::Table(init)) => {
                    recipe.head = span_of(key.span());
                    for (pattern, value) in init {
                        let text = string(&source, pattern, value, "write it as \"normal(std=0.02)\"")?;
                        recipe.rules.push(rule(&source, pattern, value, What::of(&text), text)?);
                    }
                }
                ("dtype", DeValue::Table(dtypes)) => {
                    for (pattern, value) in dtypes {
                        let text = string(&source, pattern, value, "write it as \"bf16\"")?;
                        let dtype = DType::from_str(&text)
                            .map_err(|error| span_of(value.span()).spec_error("", error.into()))?;
                        recipe.dtypes.push(rule(&source, pattern, value, dtype, text)?);
                    }
                }
                ("tie", DeValue::Table(ties)) => {
                    for (alias, value) in ties {
                        let canonical = match value.get_ref() {
                            DeValue::Boolean(false) => None,
                            _ => {
                                let remedy = "write it as \"second.name\" = \"first.name\"";
                                Some(string(&source, alias, value, remedy)?)
                            }
                        };
                        let span = span_of(alias.span().start..value.span().end);
                        let alias = alias.get_ref().to_string();
                        recipe.ties.push(Tie { alias, canonical, span, inherited: false });
                    }
                }
                (name, _) if MEMBERS.contains(&name) => {
                    let message = format!("{name} is a table");
                    return Err(span_of(key.span()).error(message, format!("begin it with [{name}]")));
                }
                (name, _) => {
                    let hint = did_you_mean(name, MEMBERS);
                    let message = format!("{name:?} has no meaning here{hint}");
                    let remedy = "a recipe has extends, [vars], [init], [dtype] and [tie]";
                    return Err(span_of(key.span()).error(message, remedy));
                }
            }
        }
        if let Some(base) = base {
            recipe.stand_on(base)?;
        }
        recipe.check_ties()?;
        if recipe.rules.is_empty() {
            return Err(recipe.head.error("there are no rules", "write them under [init]"));
        }
        Ok(recipe)
    }
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// A variable of [vars]: a number, or what is read off the model.
fn variable(source: &Arc<Source>, name: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Result<Variable> {
    let (text, value_span) = (name.get_ref().as_ref(), Span::new(source, value.span()));
    let span = Span::new(source, name.span());
    if OWN.contains(&text) {
        let message = format!("the variable {text} is each parameter's own and cannot be set");
        return Err(span.error(message, "choose another name"));
    }
    // What no spec can mention would never be used.
    let mut letters = text.chars();
    let begins = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !begins || !letters.all(|c| c.is_alphanumeric() || c == '_') || RESERVED.contains(&text) {
        let remedy = "a variable's name has letters, digits and _, and is no word of the specs' own";
        return Err(span.error(format!("{text:?} cannot be the name of a variable"), remedy));
    }
    let readings = || Reading::ALL.map(|(name, _)| name).join(", ");
    let value = match value.get_ref() {
        DeValue::Table(table) => {
            let (Some((key, pattern)), 1) = (table.iter().next(), table.len()) else {
                let message = format!("the variable {text} has one of {}", readings());
                return Err(value_span.error(message, "write it as { count = \"*.ln_1.weight\" }"));
            };
            let known = Reading::ALL.into_iter().find(|(name, _)| *name == key.get_ref().as_ref());
            let Some((_, reading)) = known else {
                let name = key.get_ref().as_ref();
                let hint = did_you_mean(name, Reading::ALL.map(|(name, _)| name));
                let message = format!("the variable {text} cannot be the {name:?} of tensors{hint}");
                return Err(
                    Span::new(source, key.span()).error(message, format!("use one of {}", readings()))
                );
            };
            let remedy = "write a name or pattern, as \"*.ln_1.weight\"";
            Value::Read(reading, glob(source, &string(source, name, pattern, remedy)?, pattern.span())?)
        }
        plain => {
            let found = source.text.get(value.span()).unwrap_or_default();
            let number = number(plain).ok_or_else(|| {
                let message = format!("the variable {text} = {found} is not a number");
                let remedy = "write a number, or { count = \"*.ln_1.weight\" } to read it off the model";
                value_span.error(message, remedy)
            })?;
            // Nothing that comes of it would be a number that weights can have.
            if !number.is_finite() {
                let message = format!("the variable {text} = {found} is no finite number");
                return Err(
                    value_span.error(message, "write a number that an f64 holds; a spec may say inf itself")
                );
            }
            Value::Number(number)
        }
    };
    Ok(Variable { name: text.to_owned(), value, span, inherited: false })
}

/// What the specs' arithmetic calls its own.
pub(super) const RESERVED: [&str; 5] = ["sqrt", "math", "inf", "nan", "pi"];

/// The text of a string, or what to write instead.
fn string(source: &Arc<Source>, key: &Key<'_>, value: &Spanned<DeValue<'_>>, remedy: &str) -> Result<String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => {
            let remedy = if matches!(other, DeValue::Table(_)) {
                "a name with dots must stand in quotes"
            } else {
                remedy
            };
            let message = format!("{:?} has no text", key.get_ref());
            Err(Span::new(source, value.span()).error(message, remedy))
        }
    }
}

fn rule<T>(
    source: &Arc<Source>,
    key: &Key<'_>,
    value: &Spanned<DeValue<'_>>,
    what: T,
    text: String,
) -> Result<Rule<T>> {
    let pattern = glob(source, key.get_ref(), key.span())?;
    Ok(Rule { pattern, what, text, span: Span::new(source, value.span()), inherited: false })
}

fn glob(source: &Arc<Source>, text: &str, span: Range<usize>) -> Result<Pattern> {
    let span = Span::new(source, span);
    // A plain name is found sooner than by a pattern.
    if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
        return Ok(Pattern { text: text.to_owned(), span, matcher: None });
    }
    // A name is no path: a star stands for anything at all.
    let built = GlobBuilder::new(text).literal_separator(false).build();
    let matcher = built.map_err(|error| {
        let remedy =
            "a pattern has * for anything, ? for one character, [ab] and {one,two}; [[] is a bracket";
        span.error(format!("{text:?} is no pattern: {}", error.kind()), remedy)
    })?;
    Ok(Pattern { text: text.to_owned(), span, matcher: Some(matcher.compile_matcher()) })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Recipe::parse(text, Path::new("r.toml")).unwrap_err().to_string()
    }

    fn line(pattern: &Pattern) -> usize {
        pattern.span.diagnostic("", "").line
    }

    #[test]
    fn every_complaint_has_its_place() {
        for (text, location, needle) in [
            ("[vars]\nn = \"x\"\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "n = \"x\" is not a number"),
            ("[vars]\nn = true\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "not a number"),
            ("[vars]\nn = nan\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "n = nan is no finite number"),
            ("[vars]\nn = -inf\n[init]\n\"*\" = \"zeros\"", "r.toml:2:5: ", "n = -inf is no finite number"),
            (
                "[vars]\nfan_in = 2\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:1: ",
                "fan_in is each parameter's own",
            ),
            ("[int]\n\"*\" = \"zeros\"", "r.toml:1:2: ", "did you mean init?"),
            ("seed = 3\n[init]\n\"*\" = \"zeros\"", "r.toml:1:1: ", "\"seed\" has no meaning here"),
            ("init = \"zeros\"", "r.toml:1:1: ", "begin it with [init]"),
            ("[init]\n\"*\" = 3", "r.toml:2:7: ", "has no text"),
            ("# é\ninit.\"é\" = 3", "r.toml:2:12: ", "has no text"),
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
                "write a name or pattern",
            ),
            (
                "[vars]\nn = {}\n[init]\n\"*\" = \"zeros\"",
                "r.toml:2:5: ",
                "has one of count, fan_in, fan_out",
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
                "remove the other line",
            ),
            ("[init]\n\"*\" = \"zeros\"\n[tie]\na.b = \"b\"", "r.toml:4:", "must stand in quotes"),
            (
                "[init]\n\"*\" = \"zeros\"\n[tie]\na = true",
                "r.toml:4:5: ",
                "\"second.name\" = \"first.name\"",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(location) && error.contains(needle), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_and_order_are_those_of_the_text() {
        let text = "[vars]\na = 1_000\nb = 0x10\nc = -2.5e-1\n[init]\n\"z*\" = \"zeros\"\n\"a*\" = \"ones\"\n\
                    \"*\" = \"zeros\"";
        let recipe = Recipe::parse(text, Path::new("r.toml")).unwrap();
        let number = |variable: &Variable| match variable.value {
            Value::Number(number) => number,
            Value::Read(..) => f64::NAN,
        };
        let variables: Vec<f64> = recipe.variables.iter().map(number).collect();
        assert_eq!(variables, [1000.0, 16.0, -0.25]);
        let rules: Vec<(&str, usize)> =
            recipe.rules.iter().map(|rule| (rule.pattern.text.as_str(), line(&rule.pattern))).collect();
        assert_eq!(rules, [("z*", 6), ("a*", 7), ("*", 8)]);
    }

    #[test]
    fn a_key_that_stands_twice_in_the_text_has_its_own_line() {
        let text = "[vars]\nsteps = 1\n# steps = \n[init]\nsteps = \"zeros\"";
        assert_eq!(line(&Recipe::parse(text, Path::new("r.toml")).unwrap().rules[0].pattern), 5);
    }
}
