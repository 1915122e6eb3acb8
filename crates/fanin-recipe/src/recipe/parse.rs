//! Parses the TOML text of a recipe to rules, variables and ties. Every error has a line and a column.

use std::ops::Range;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use fanin::DType;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::definition::{KEYS, Recipe};
use super::name_number::NameNumber;
use super::rule::{Assignment, Pattern, Rule};
use super::source::{Source, Span};
use super::tie::Tie;
use super::variable::{PARAMETER_VARIABLES, Property, RESERVED, Variable, VariableValue};
use crate::error::{Result, did_you_mean};

/// Parses the text of one recipe, without its base recipe. Also returns the position of the value of `extends`, or
/// `None`. `is_base` is true if another recipe extends this recipe.
pub(super) fn parse(text: &str, path: &Path, is_base: bool) -> Result<(Recipe, Option<Span>)> {
    let source = Arc::new(Source::new(path, text, is_base));
    let span_of = |range: Range<usize>| Span::new(&source, range);
    let table = DeTable::parse(text)
        .map_err(|error| span_of(error.span().unwrap_or_default()).error(error.message().trim_end(), ""))?;
    let mut recipe = Recipe {
        source: source.clone(),
        base: None,
        model: None,
        variables: Vec::new(),
        rules: Vec::new(),
        dtypes: Vec::new(),
        ties: Vec::new(),
        init_span: span_of(0..0),
    };
    let mut base_span = None;
    // The order of the rules matters. With the feature `preserve_order` of the crate toml, the table keeps the order of
    // the text.
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("extends", DeValue::String(name)) => {
                recipe.base = Some(name.to_string());
                base_span = Some(span_of(value.span()));
            }
            ("extends", _) => {
                let message =
                    "extends must be the name of a built-in model or of a recipe file in this folder";
                return Err(span_of(value.span()).error(message, "write extends = \"gpt2\""));
            }
            ("vars", DeValue::Table(variables)) => {
                for (name, value) in variables {
                    recipe.variables.push(variable(&source, name, value)?);
                }
            }
            ("init", DeValue::Table(rules)) => {
                recipe.init_span = span_of(key.span());
                for (pattern, value) in rules {
                    let text = string(&source, pattern, value, "write it as \"normal(std=0.02)\"")?;
                    let assignment = Assignment::of(&text).map_err(|message| {
                        span_of(value.span())
                            .error(message, "write copy, copy(from='name') or copy(rest=spec)")
                    })?;
                    recipe.rules.push(rule(&source, pattern, value, assignment, text)?);
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
                    recipe.ties.push(tie(&source, alias, value)?);
                }
            }
            (name, _) if KEYS.contains(&name) => {
                let message = format!("{name} must be a table");
                return Err(span_of(key.span())
                    .error(message, format!("write [{name}] on a line, and the entries below it")));
            }
            ("replay", _) => {
                let remedy = "write its weights with init, and compare files of weights with diff";
                return Err(span_of(key.span()).error("the file is a replay, not a recipe", remedy));
            }
            (name, _) => {
                let hint = did_you_mean(name, KEYS);
                let message = format!("unknown key {name:?}{hint}");
                let remedy = "a recipe has extends, [vars], [init], [dtype] and [tie]";
                return Err(span_of(key.span()).error(message, remedy));
            }
        }
    }
    Ok((recipe, base_span))
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

/// Parses a line of `[tie]`.
fn tie(source: &Arc<Source>, alias: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Result<Tie> {
    let canonical = match value.get_ref() {
        DeValue::Boolean(false) => None,
        _ => Some(string(source, alias, value, "write it as \"alias.name\" = \"canonical.name\"")?),
    };
    let span = Span::new(source, alias.span().start..value.span().end);
    Ok(Tie { alias: alias.get_ref().to_string(), canonical, span, inherited: false })
}

/// Parses a line of `[vars]`.
fn variable(source: &Arc<Source>, name: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Result<Variable> {
    let (text, span) = (name.get_ref().as_ref(), Span::new(source, name.span()));
    let is_layer = text == "layer" && matches!(value.get_ref(), DeValue::String(_));
    if PARAMETER_VARIABLES.contains(&text) && !is_layer {
        let message = format!("{text} cannot be defined: each parameter has its own {text}");
        let remedy = match text {
            "layer" => "write the text around the number, for example layer = \"encoder.layer.{}\"",
            _ => "choose another name",
        };
        return Err(span.error(message, remedy));
    }
    // The name must be a word that the grammar of specs allows, and must not be reserved.
    let mut characters = text.chars();
    let begins_well = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !begins_well || !characters.all(|c| c.is_alphanumeric() || c == '_') || RESERVED.contains(&text) {
        let remedy = "use letters, digits and _, do not begin with a digit, and use none of sqrt, math, inf, nan, \
                          pi, shape, index";
        return Err(span.error(format!("{text:?} cannot be the name of a variable"), remedy));
    }
    let value = match value.get_ref() {
        DeValue::Table(table) => property(source, text, table, value.span())?,
        DeValue::String(pattern) => {
            let remedy = "write a text such as \"encoder.layer.{}\", or a number without quotes";
            let number = NameNumber::parse(pattern);
            VariableValue::NameNumber(
                number.map_err(|message| Span::new(source, value.span()).error(message, remedy))?,
            )
        }
        other => number(source, text, other, value.span())?,
    };
    Ok(Variable { name: text.to_owned(), value, span, inherited: false })
}

/// Parses the value of a variable. The value must be a property of the model's tensors, such as
/// `{ count = "*.ln_1.weight" }`.
fn property(
    source: &Arc<Source>,
    variable: &str,
    table: &DeTable<'_>,
    range: Range<usize>,
) -> Result<VariableValue> {
    let names = || Property::ALL.map(|(name, _)| name).join(", ");
    let (Some((key, pattern)), 1) = (table.iter().next(), table.len()) else {
        let message = format!("variable {variable}: expected one of {}", names());
        return Err(Span::new(source, range).error(message, "write it as { count = \"*.ln_1.weight\" }"));
    };
    let name = key.get_ref().as_ref();
    let Some((_, property)) = Property::ALL.into_iter().find(|(known, _)| *known == name) else {
        let hint = did_you_mean(name, Property::ALL.map(|(name, _)| name));
        let message = format!("variable {variable}: unknown property {name:?}{hint}");
        return Err(Span::new(source, key.span()).error(message, format!("use one of {}", names())));
    };
    let remedy = "write a name or a pattern, such as \"*.ln_1.weight\"";
    let text = string(source, key, pattern, remedy)?;
    Ok(VariableValue::Property(property, Pattern::new(&text, Span::new(source, pattern.span()))?))
}

/// Parses the value of a variable. The value must be a finite number.
fn number(
    source: &Arc<Source>,
    variable: &str,
    value: &DeValue<'_>,
    range: Range<usize>,
) -> Result<VariableValue> {
    let text = source.text.get(range.clone()).unwrap_or_default();
    let span = Span::new(source, range);
    // `as_str` omits underscores and the prefix of a base, such as `0x`. A TOML float may be inf or nan.
    let number = match value {
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number as f64)
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| {
        let message = format!("variable {variable} = {text} is not a number");
        span.error(message, "write a number, or { count = \"*.ln_1.weight\" } to count tensors of the model")
    })?;
    if !f64::is_finite(number) {
        let message = format!("variable {variable} = {text} is not a finite number");
        return Err(span.error(message, "write a finite number; to use infinity, write inf in the spec"));
    }
    Ok(VariableValue::Number(number))
}

/// Returns the text of a string value. If the value is not a string, returns an error that contains `remedy`.
fn string(source: &Arc<Source>, key: &Key<'_>, value: &Spanned<DeValue<'_>>, remedy: &str) -> Result<String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => {
            // In TOML, the unquoted key `a.b` is a table `a` with the key `b`.
            let remedy = if matches!(other, DeValue::Table(_)) {
                "put a name that contains dots in quotes"
            } else {
                remedy
            };
            let message = format!("the value of {:?} must be a string", key.get_ref());
            Err(Span::new(source, value.span()).error(message, remedy))
        }
    }
}

fn rule<T>(
    source: &Arc<Source>,
    key: &Key<'_>,
    value: &Spanned<DeValue<'_>>,
    parsed: T,
    text: String,
) -> Result<Rule<T>> {
    let pattern = Pattern::new(key.get_ref(), Span::new(source, key.span()))?;
    Ok(Rule { pattern, value: parsed, text, span: Span::new(source, value.span()), inherited: false })
}
