//! The variables that a spec sees: the recipe's, and the numbers of the parameter at hand.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use fanin::AxisLayout;
use fanin::init::Init;
use fanin::spec::Variables;

use super::diagnostic::Diagnostic;
use super::parse::OWN;
use super::variables::VariableValues;
use crate::manifest::Entry;

/// Why a spec could not be read.
pub(super) enum Trouble {
    /// The spec is wrong.
    Spec(fanin::Error),
    /// A variable that it uses cannot be read off this model.
    Variable(Diagnostic),
}

/// A recipe's variables, with the numbers of one parameter among them.
pub(super) struct Scope<'a> {
    numbers: &'a VariableValues,
    entry: &'a Entry,
    /// In the order of [`OWN`].
    own: [Option<f64>; OWN.len()],
    /// The number that was asked for and is not there.
    missed: Cell<Option<&'static str>>,
    /// The variable that was asked for and could not be read off the model.
    failed: RefCell<Option<Diagnostic>>,
}

impl<'a> Scope<'a> {
    /// `weights` has the tensors by their names.
    pub(super) fn new(
        numbers: &'a VariableValues,
        entry: &'a Entry,
        weights: &HashMap<&str, &Entry>,
    ) -> Self {
        let fans = |shape: &[usize]| {
            let fans = AxisLayout::OutIn.fans(shape).ok();
            [fans.map(|fans| fans.fan_in as f64), fans.map(|fans| fans.fan_out as f64)]
        };
        let [fan_in, fan_out] = fans(&entry.shape);
        let weight = entry.name.strip_suffix("bias").map(|stem| format!("{stem}weight"));
        let weight = weight.and_then(|name| weights.get(name.as_str()).copied());
        let [weight_in, weight_out] = weight.map_or([None, None], |weight| fans(&weight.shape));
        let layer = entry.name.split('.').find_map(|part| part.parse::<u32>().ok()).map(f64::from);
        let own = [fan_in, fan_out, weight_in, weight_out, layer];
        Self { numbers, entry, own, missed: Cell::new(None), failed: RefCell::new(None) }
    }

    /// Reads a spec in this scope. A number that the parameter has not is named as what is wrong.
    pub(super) fn read(&self, spec: &str) -> Result<Init, Trouble> {
        self.missed.set(None);
        let read = Init::parse_with(spec, self);
        if let Some(diagnostic) = self.failed.take().filter(|_| read.is_err()) {
            return Err(Trouble::Variable(diagnostic));
        }
        read.map_err(|error| match (error, self.missed.get()) {
            (fanin::Error::Spec(mut error), Some(missed)) => {
                let (name, shape) = (&self.entry.name, &self.entry.shape);
                let (why, help) = match missed {
                    "fan_in" | "fan_out" => (
                        format!("a tensor of shape {shape:?} has no fans"),
                        "write the number or a variable: a bias has weight_fan_in, its weight's",
                    ),
                    "layer" => (format!("no part of {name} is a number"), "write the number or a variable"),
                    _ => (
                        format!("{name} is no bias beside a weight with fans"),
                        "write the number or a variable",
                    ),
                };
                error.message = format!("there is no {missed}: {why}");
                error.help = Some(help.to_owned());
                Trouble::Spec(error.into())
            }
            (error, _) => Trouble::Spec(error),
        })
    }
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        let Some(which) = OWN.iter().position(|&own| own == name) else {
            if let Some(diagnostic) = self.numbers.failed.get(name) {
                self.failed.replace(Some(diagnostic.clone()));
            }
            return self.numbers.known.get(name).copied();
        };
        if self.own[which].is_none() {
            self.missed.set(Some(OWN[which]));
        }
        self.own[which]
    }

    fn names(&self) -> Vec<&str> {
        let own = OWN.iter().zip(self.own).filter(|(_, value)| value.is_some()).map(|(name, _)| *name);
        self.numbers.known.keys().map(String::as_str).chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_are_there_for_two_dimensions_and_more() {
        let mut numbers = VariableValues::default();
        numbers.known.insert("n".to_owned(), 2.0);
        let read = |shape: &[usize], spec: &str| {
            let json = format!(r#"{{"a": {{"dtype": "F32", "shape": {shape:?}}}}}"#);
            let manifest =
                crate::manifest::Manifest::from_json(&json, std::path::Path::new("m.json")).unwrap();
            Scope::new(&numbers, &manifest.entries[0], &HashMap::new())
                .read(spec)
                .map(|init| init.to_string())
                .map_err(|trouble| match trouble {
                    Trouble::Spec(error) => error.to_string(),
                    Trouble::Variable(diagnostic) => diagnostic.to_string(),
                })
        };
        assert_eq!(read(&[8, 4, 3], "normal(std=n/fan_in)").unwrap(), format!("normal(std={})", 2.0 / 12.0));
        assert_eq!(read(&[8, 4, 3], "normal(std=n/fan_out)").unwrap(), format!("normal(std={})", 2.0 / 24.0));
        let error = read(&[8], "normal(std=n/fan_in)").unwrap_err();
        assert!(error.contains("there is no fan_in: a tensor of shape [8]"), "{error}");
        assert!(
            error.lines().nth(2).unwrap().starts_with(&format!("{:15}^ write the number", "")),
            "{error}"
        );
        // The mode's name is no variable: what is wrong here is the nonlinearity.
        let error = read(&[8], "kaiming_normal(mode=fan_in, nonlinearity=rel)").unwrap_err();
        assert!(error.contains("Unsupported nonlinearity rel") && !error.contains("no fan_in"), "{error}");
    }
}
