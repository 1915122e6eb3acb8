//! The arguments of a spec, with a method for each type of argument that a scheme can read.

use std::collections::HashMap;

use crate::error::{Error, SpecError, did_you_mean_or};
use crate::gain::Gain;
use crate::nonlinearity::Nonlinearity;
use crate::shape::AxisLayout;

/// The value of an argument: a number or a word.
pub(super) enum Value {
    /// The result of an arithmetic expression.
    Number(f64),
    /// A name such as `fan_out`, and the number in parentheses after the name (if present), as in `leaky_relu(0.2)`.
    Word(String, Option<f64>),
}

/// The arguments of one scheme in a spec.
pub(super) struct Arguments<'a> {
    /// The text of the whole spec, for error messages.
    pub(super) text: &'a str,
    /// The byte offset in `text` at which the arguments end.
    pub(super) end: usize,
    /// The name of the scheme.
    pub(super) scheme: &'static str,
    /// Maps the name of each argument in the spec to the byte offset of the value in `text`, and to the value.
    pub(super) values: HashMap<&'static str, (usize, Value)>,
    /// `true` if a number depends on a property of the tensor that is not known yet. Such a number is NaN.
    pub(super) is_deferred: bool,
}

impl Arguments<'_> {
    /// Returns an error about the character at the byte offset `at`.
    pub(super) fn error(&self, at: usize, message: String) -> SpecError {
        SpecError { text: self.text.to_owned(), at, message, help: None }
    }

    /// Returns the value of the argument called `name`. The value must be a number. Returns `default` if the spec does
    /// not have the argument.
    pub(super) fn number(&self, name: &'static str, default: f64) -> Result<f64, SpecError> {
        match self.values.get(name) {
            None => Ok(default),
            Some((_, Value::Number(number))) => Ok(*number),
            Some((at, Value::Word(word, _))) => {
                Err(self.error(*at, format!("{}: {name} = {word} must be a number", self.scheme)))
            }
        }
    }

    /// Returns true if the spec contains `name` as a positional argument.
    pub(super) fn is_positional(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|(at, _)| !self.text[..*at].trim_end().ends_with('='))
    }

    /// Returns the value of the argument called `name`. The value must be a number. Returns an error if the spec does
    /// not have the argument.
    pub(super) fn required(&self, name: &'static str) -> Result<f64, SpecError> {
        if self.values.contains_key(name) {
            return self.number(name, 0.0);
        }
        Err(SpecError {
            help: Some(format!("write {}({name}=...)", self.scheme)),
            ..self.error(self.end, format!("{} needs the argument {name}", self.scheme))
        })
    }

    /// Returns the value of the argument called `name`, which must be a non-negative integer. Returns `default` if the
    /// spec does not have the argument, or if the value is not known yet.
    pub(super) fn count(&self, name: &'static str, default: usize) -> Result<usize, SpecError> {
        let number = self.number(name, default as f64)?;
        if number.is_nan() && self.is_deferred {
            return Ok(default);
        }
        if number >= 0.0 && number < (1u64 << 53) as f64 && number.fract() == 0.0 {
            return Ok(number as usize);
        }
        let at = self.values.get(name).map_or(0, |(at, _)| *at);
        Err(self.error(at, format!("{}: {name} = {number} must be a non-negative integer", self.scheme)))
    }

    /// Returns the value of the argument called `name`: its byte offset, its word, and the number in parentheses (if
    /// present), as in `leaky_relu(0.2)`. The word is empty if the value is a number. Returns `None` if the spec does
    /// not have the argument.
    pub(super) fn word(&self, name: &str) -> Option<(usize, &str, Option<f64>)> {
        match self.values.get(name)? {
            (at, Value::Word(word, number)) => Some((*at, word, *number)),
            (at, Value::Number(_)) => Some((*at, "", None)),
        }
    }

    /// Returns the element of `choices` whose name is the value of the argument `parameter`. Returns `None` if the spec
    /// does not have the argument, and an error if no element has this name.
    pub(super) fn choice<T: Copy, const N: usize>(
        &self,
        parameter: &'static str,
        choices: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, SpecError> {
        let Some((at, word, _)) = self.word(parameter) else { return Ok(None) };
        if let Some(choice) = choices.into_iter().find(|&choice| name(choice) == word) {
            return Ok(Some(choice));
        }
        let names = choices.map(name);
        let help = did_you_mean_or(word, names, || format!("use one of {}", names.join(", ")));
        let message = format!("{}: {parameter} = {word} is not known", self.scheme);
        Err(SpecError { help: Some(help), ..self.error(at, message) })
    }

    /// Returns the value of the argument `layout`. Returns the layout `out_in` if the spec does not have the argument.
    pub(super) fn layout(&self) -> Result<AxisLayout, SpecError> {
        let Some((at, word, _)) = self.word("layout") else { return Ok(AxisLayout::default()) };
        word.parse().map_err(|error| match error {
            Error::LayoutName { suggestion, .. } => SpecError {
                help: Some(match suggestion {
                    Some(name) => format!("did you mean {name}?"),
                    None => {
                        let names = AxisLayout::ALL.map(AxisLayout::name).join(", ");
                        format!(
                            "use one of {names}, or one letter for each axis (o, i, k, e) such as oikk or eoi"
                        )
                    }
                }),
                ..self.error(at, format!("{}: layout = {word} is not known", self.scheme))
            },
            other => self.error(at, other.to_string()),
        })
    }

    /// Returns the value of the argument for `parameter`. The value must be `true` or `false`. Returns `false` if the
    /// spec does not have the argument.
    pub(super) fn boolean(&self, parameter: &'static str) -> Result<bool, SpecError> {
        let name = |value| if value { "true" } else { "false" };
        Ok(self.choice(parameter, [true, false], name)?.unwrap_or_default())
    }

    /// Returns the value of the argument `groups`. Returns 1 if the spec does not have the argument.
    pub(super) fn groups(&self) -> Result<usize, SpecError> {
        self.count("groups", 1)
    }

    /// Returns the value of the argument `gain`, which is a number or the name of a nonlinearity. Returns 1 if the spec
    /// does not have the argument.
    pub(super) fn gain(&self) -> Result<Gain, SpecError> {
        match self.values.get("gain") {
            Some((at, Value::Word(word, parameter))) => Nonlinearity::from_name(word, *parameter)
                .map(Gain::Of)
                .map_err(|error| self.nonlinearity_error(*at, &error)),
            _ => Ok(Gain::Value(self.number("gain", 1.0)?)),
        }
    }

    /// Converts an error of [`Nonlinearity::from_name`] into a [`SpecError`] with a remedy. The error is about the
    /// character at the byte offset `at`.
    pub(super) fn nonlinearity_error(&self, at: usize, error: &Error) -> SpecError {
        let (message, help) = match error {
            Error::Nonlinearity { name, suggestion } => (
                format!("Unsupported nonlinearity {name}"),
                match suggestion {
                    Some(suggestion) => format!("did you mean {suggestion}?"),
                    None => {
                        format!("use one of {}", Nonlinearity::names().collect::<Vec<_>>().join(", "))
                    }
                },
            ),
            other => (other.to_string(), String::new()),
        };
        SpecError { help: Some(help), ..self.error(at, message) }
    }
}
