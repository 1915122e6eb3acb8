//! The arguments of one spec, as its scheme asks for them.

use std::collections::HashMap;

use crate::activation::Activation;
use crate::error::{Error, SpecError, nearest};
use crate::gain::{Gain, Nonlinearity};
use crate::shape::AxisLayout;

/// A parsed value, not yet known to be of the right kind.
pub(super) enum Value {
    Number(f64),
    /// A name, with the number in its parentheses.
    Word(String, Option<f64>),
}

/// The arguments of one spec, by name, with where each value stands.
pub(super) struct Arguments<'a> {
    pub(super) text: &'a str,
    pub(super) end: usize,
    pub(super) scheme: &'static str,
    pub(super) values: HashMap<&'static str, (usize, Value)>,
}

impl Arguments<'_> {
    pub(super) fn error(&self, at: usize, message: String) -> SpecError {
        SpecError { text: self.text.to_owned(), at, message, help: None }
    }

    pub(super) fn number(&self, name: &'static str, default: f64) -> Result<f64, SpecError> {
        match self.values.get(name) {
            None => Ok(default),
            Some((_, Value::Number(number))) => Ok(*number),
            Some((at, Value::Word(word, _))) => {
                Err(self.error(*at, format!("{}: {name} = {word} is not a number", self.scheme)))
            }
        }
    }

    pub(super) fn required(&self, name: &'static str) -> Result<f64, SpecError> {
        if self.values.contains_key(name) {
            return self.number(name, 0.0);
        }
        Err(SpecError {
            help: Some(format!("write {}({name}=...)", self.scheme)),
            ..self.error(self.end, format!("{} needs the argument {name}", self.scheme))
        })
    }

    pub(super) fn count(&self, name: &'static str, default: usize) -> Result<usize, SpecError> {
        let number = self.number(name, default as f64)?;
        if number >= 0.0 && number < (1u64 << 53) as f64 && number.fract() == 0.0 {
            return Ok(number as usize);
        }
        let at = self.values.get(name).map_or(0, |(at, _)| *at);
        Err(self.error(at, format!("{}: {name} = {number} is not a count", self.scheme)))
    }

    pub(super) fn word(&self, name: &str) -> Option<(usize, &str, Option<f64>)> {
        match self.values.get(name)? {
            (at, Value::Word(word, number)) => Some((*at, word, *number)),
            (at, Value::Number(_)) => Some((*at, "", None)),
        }
    }

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
        let help = match nearest(word, names) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("use one of {}", names.join(", ")),
        };
        let message = format!("{}: {parameter} = {word} is not known", self.scheme);
        Err(SpecError { help: Some(help), ..self.error(at, message) })
    }

    pub(super) fn layout(&self) -> Result<AxisLayout, SpecError> {
        let Some((at, word, _)) = self.word("layout") else { return Ok(AxisLayout::default()) };
        word.parse().map_err(|error| match error {
            Error::LayoutName { suggestion, .. } => SpecError {
                help: Some(match suggestion {
                    Some(name) => format!("did you mean {name}?"),
                    None => {
                        let names = AxisLayout::ALL.map(AxisLayout::name).join(", ");
                        format!("use one of {names}, or one letter an axis (o, i, k, e) such as oikk or eoi")
                    }
                }),
                ..self.error(at, format!("{}: layout = {word} is not known", self.scheme))
            },
            other => self.error(at, other.to_string()),
        })
    }

    pub(super) fn truth(&self, parameter: &'static str) -> Result<bool, SpecError> {
        let name = |truth| if truth { "true" } else { "false" };
        Ok(self.choice(parameter, [true, false], name)?.unwrap_or_default())
    }

    pub(super) fn groups(&self) -> Result<usize, SpecError> {
        self.count("groups", 1)
    }

    pub(super) fn gain(&self) -> Result<Gain, SpecError> {
        match self.values.get("gain") {
            Some((at, Value::Word(word, slope))) => Nonlinearity::from_spec(word, *slope)
                .map(Gain::Of)
                .map_err(|error| self.nonlinearity_error(*at, &error)),
            _ => Ok(Gain::Value(self.number("gain", 1.0)?)),
        }
    }

    pub(super) fn nonlinearity_error(&self, at: usize, error: &Error) -> SpecError {
        let (message, help) = match error {
            Error::Nonlinearity { name, suggestion } => (
                format!("Unsupported nonlinearity {name}"),
                match suggestion {
                    Some(suggestion) => format!("did you mean {suggestion}?"),
                    None => {
                        let names: Vec<_> =
                            Nonlinearity::names().chain(Activation::ALL.map(Activation::name)).collect();
                        format!("use one of {}", names.join(", "))
                    }
                },
            ),
            other => (other.to_string(), String::new()),
        };
        SpecError { help: Some(help), ..self.error(at, message) }
    }
}
