//! `[vars]`: numbers that specs use, written down or read off the model.

use std::collections::{BTreeMap, BTreeSet};

use fanin::{AxisLayout, Fans};

use super::diagnostic::{Diagnostic, Span};
use super::extend::words;
use super::parse::{OWN, RESERVED};
use super::{Pattern, Recipe};
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::Manifest;
use crate::text::counted;

/// A variable.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: Value,
    /// Where its name stands.
    pub(super) span: Span,
    /// Whether a base has it too.
    pub(super) inherited: bool,
}

/// What a variable is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A number.
    Number(f64),
    /// What is read off the tensors that match.
    Read(Reading, Pattern),
}

/// What is read off the tensors of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// How many they are.
    Count,
    /// Their fan_in, which must be one.
    FanIn,
    /// Their fan_out, which must be one.
    FanOut,
}

impl Reading {
    /// All of them, with what they are called.
    pub(super) const ALL: [(&'static str, Reading); 3] =
        [("count", Reading::Count), ("fan_in", Reading::FanIn), ("fan_out", Reading::FanOut)];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, reading)| *reading == self).map_or("", |(name, _)| name)
    }
}

/// The numbers of a model's variables.
#[derive(Debug, Default)]
pub(super) struct VariableValues {
    pub(super) known: BTreeMap<String, f64>,
    /// Variables that cannot be read off this model, and why: an error only where a spec needs one.
    pub(super) failed: BTreeMap<String, Diagnostic>,
}

impl Recipe {
    /// The variables' numbers for these tensors, with these set.
    pub(super) fn numbers(&self, manifest: &Manifest, settings: &[(String, f64)]) -> Result<VariableValues> {
        let mut numbers = VariableValues::default();
        for variable in &self.variables {
            match variable.value.of(manifest) {
                Ok(number) => _ = numbers.known.insert(variable.name.clone(), number),
                Err(diagnostic) => _ = numbers.failed.insert(variable.name.clone(), diagnostic),
            }
        }
        for (name, value) in settings {
            let Some(variable) = self.variables.iter().find(|variable| variable.name == *name) else {
                let known: Vec<&str> = self.variables.iter().map(|variable| variable.name.as_str()).collect();
                let hint = did_you_mean(name, known.iter().copied());
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message =
                    format!("there is no variable {name:?} to set{hint} (the variables are: {known})");
                return Err(Error::file(&self.source.path, message));
            };
            if let (Value::Read(reading, pattern), Some(found)) = (&variable.value, numbers.known.get(name))
                && found != value
            {
                let what = match reading {
                    Reading::Count => format!("is the number of tensors {:?}", pattern.text),
                    _ => format!("is the {} of {:?}", reading.name(), pattern.text),
                };
                let message = format!(
                    "{name} = {value} is not so: {name} {what}, and in this model that is {found}. Setting it \
                     adds no layer and changes no shape"
                );
                let remedy = format!(
                    "for a model of {value} give its names and shapes (--like, in Python like=); to use {value} regardless, \
                     extend this recipe and write {name} = {value} under its [vars]"
                );
                return Err(variable.span.error(message, remedy));
            }
            numbers.failed.remove(name);
            numbers.known.insert(name.clone(), *value);
        }
        Ok(numbers)
    }
}

impl Recipe {
    /// Complaints about variables of its own that no rule uses and nobody sets: a slip in a name would do nothing.
    pub(super) fn unused(&self, settings: &[(String, f64)]) -> Vec<Diagnostic> {
        let specs = || self.rules.iter().map(|rule| rule.text.as_str());
        let used: BTreeSet<&str> = specs().flat_map(words).collect();
        let idle = |variable: &&Variable| {
            let name = &variable.name;
            !variable.inherited
                && !used.contains(name.as_str())
                && settings.iter().all(|(set, _)| set != name)
        };
        // What a rule means and nobody has declared.
        let meant = || {
            let known = |word: &str| self.variables.iter().any(|variable| variable.name == word);
            used.iter()
                .copied()
                .filter(move |word| !known(word) && !OWN.contains(word) && !RESERVED.contains(word))
        };
        let diagnostic = |variable: &Variable| {
            let name = &variable.name;
            let hint = did_you_mean(name, meant());
            variable
                .span
                .diagnostic(format!("no rule uses the variable {name}{hint}"), "use it, or remove this line")
        };
        self.variables.iter().filter(idle).map(diagnostic).collect()
    }
}

impl Value {
    fn of(&self, manifest: &Manifest) -> std::result::Result<f64, Diagnostic> {
        let (reading, pattern) = match self {
            Value::Number(number) => return Ok(*number),
            Value::Read(reading, pattern) => (*reading, pattern),
        };
        let found = || manifest.entries.iter().filter(|entry| pattern.matches(&entry.name));
        let wrong =
            |message: String| Err(pattern.span.diagnostic(message, "mend the pattern, or write a number"));
        if found().next().is_none() {
            return wrong(format!("no tensor of this model is called {:?}", pattern.text));
        }
        if reading == Reading::Count {
            return Ok(found().count() as f64);
        }
        let fan = |fans: Fans| if reading == Reading::FanIn { fans.fan_in } else { fans.fan_out };
        let mut first: Option<(usize, &str)> = None;
        for entry in found() {
            let Ok(fans) = AxisLayout::OutIn.fans(&entry.shape) else {
                return wrong(format!("{} {:?} has no fans", entry.name, entry.shape));
            };
            match first {
                Some((known, name)) if known != fan(fans) => {
                    let tensors = counted(found().count() as u64, "tensor");
                    let (reading, other) = (reading.name(), fan(fans));
                    return wrong(format!(
                        "the {reading} of {tensors} is not one number: {name} has {known}, {} has {other}",
                        entry.name
                    ));
                }
                _ => first = Some((fan(fans), &entry.name)),
            }
        }
        Ok(first.map_or(0, |(fan, _)| fan) as f64)
    }
}
