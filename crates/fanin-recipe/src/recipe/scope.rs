//! [`Scope`]: the variables that the spec of a parameter can use.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use fanin::init::Init;
use fanin::spec::Variables;
use fanin::{AxisLayout, Fans};

use super::name_number::{self, Found};
use super::variable::VariableValues;
use crate::diagnostic::Diagnostic;
use crate::manifest::Entry;

/// The error of a spec that could not be parsed.
pub(super) enum ScopeError {
    /// The spec is invalid.
    Spec(fanin::Error),
    /// The spec uses a variable of the recipe whose value cannot be read from this model.
    Variable(Diagnostic),
}

/// The variables that the spec of a parameter can use: those of the recipe, and those of the parameter, such as
/// `layer`. The spec parser adds `fan_in` and `fan_out`.
pub(super) struct Scope<'a> {
    variables: &'a VariableValues,
    entry: &'a Entry,
    /// Maps the names of variables to their values for this parameter. The map contains only variables that have a
    /// separate value for each parameter. An example is the variable `layer`. If a variable has no value for this
    /// parameter, the map contains an `Err` with a message and a remedy.
    own: BTreeMap<&'a str, Result<f64, (String, String)>>,
    /// The name of the variable that was looked up last, among those that have no value for this parameter. Example:
    /// `layer`, if the spec uses `layer` and the parameter's name contains no number.
    missing: RefCell<Option<String>>,
    /// The diagnostic of the last variable that the spec used but whose value could not be read from the model.
    failed: RefCell<Option<Diagnostic>>,
}

impl<'a> Scope<'a> {
    /// Creates the scope for the spec of one model parameter. `entry` is the manifest entry (name, dtype and shape) of
    /// this parameter. `entries` maps the names of all tensors of the model to their manifest entries.
    pub(super) fn new(
        variables: &'a VariableValues,
        entry: &'a Entry,
        entries: &HashMap<&str, &Entry>,
    ) -> Self {
        let name = entry.name.as_str();
        let weight = name.strip_suffix("bias").map(|prefix| format!("{prefix}weight"));
        let weight = weight.and_then(|name| entries.get(name.as_str()).copied());
        let weight_fans = weight.and_then(|weight| AxisLayout::OutIn.fans(&weight.shape).ok());
        let weight_fan = |variable: &str, fan: fn(Fans) -> usize| {
            let message = format!(
                "there is no {variable}: {name} is not the bias of a module whose weight has two or more axes"
            );
            let missing = || (message, "write the number or a variable".to_owned());
            weight_fans.map(|fans| fan(fans) as f64).ok_or_else(missing)
        };
        let mut own = BTreeMap::from([
            ("weight_fan_in", weight_fan("weight_fan_in", |fans| fans.fan_in)),
            ("weight_fan_out", weight_fan("weight_fan_out", |fans| fans.fan_out)),
            ("layer", number_of("layer", name, name_number::layer(name), "")),
        ]);
        for (variable, number) in &variables.in_names {
            own.insert(variable, number_of(variable, name, number.of(name), &number.text));
        }
        Self { variables, entry, own, missing: RefCell::new(None), failed: RefCell::new(None) }
    }

    /// Parses a spec in this scope. If a variable in the spec has no value for this parameter, the error explains why.
    /// For example, `layer` has no value if the parameter's name contains no number.
    pub(super) fn read(&self, spec: &str) -> Result<Init, ScopeError> {
        self.explained(Init::parse_for(spec, &self.entry.shape, self))
    }

    /// Returns the value of an arithmetic expression in this scope.
    pub(super) fn evaluate(&self, expression: &str) -> Result<f64, ScopeError> {
        self.explained(fanin::spec::evaluate(expression, self))
    }

    /// Adds the reason to an error about a variable that has no value for this parameter.
    fn explained<T>(&self, read: Result<T, fanin::Error>) -> Result<T, ScopeError> {
        let (missing, failed) = (self.missing.take(), self.failed.take());
        if let Some(diagnostic) = failed.filter(|_| read.is_err()) {
            return Err(ScopeError::Variable(diagnostic));
        }
        read.map_err(|error| {
            let fanin::Error::Spec(mut error) = error else { return ScopeError::Spec(error) };
            if let Some(Some(Err((message, help)))) = missing.as_deref().map(|missing| self.own.get(missing))
            {
                error.message.clone_from(message);
                error.help = Some(help.clone());
            } else if error.message.starts_with("there is no fan_") {
                let help = "write the number or a variable; the fan_in of a bias's weight is weight_fan_in";
                error.help = Some(help.to_owned());
            }
            ScopeError::Spec(error.into())
        })
    }
}

/// Returns the value of `variable`, a number in the tensor name `name`. `found` is the result of the search for this
/// number. Returns an error (a message and a remedy) if no number or more than one number was found. The message quotes
/// `text`, the recipe's definition of the variable, such as `encoder.layer.{}`. `text` is empty if the recipe has no
/// definition.
fn number_of(variable: &str, name: &str, found: Found, text: &str) -> Result<f64, (String, String)> {
    let place =
        "write the text around the number under [vars], for example layer = \"encoder.layer.{}\"".to_owned();
    match (found, text) {
        (Found::Number(number), _) => Ok(number),
        (Found::None, "") => {
            let help = "write the number or a variable; inside stacked(...), use index for the layer";
            Err((
                format!("there is no {variable}: the name {name} contains no layer number"),
                help.to_owned(),
            ))
        }
        (Found::None, text) => Err((
            format!("{name} has no number at {text:?}"),
            "correct the text, or write the number".to_owned(),
        )),
        (Found::Several(numbers), text) => {
            let numbers = numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" or ");
            let at = if text.is_empty() { String::new() } else { format!(" at {text:?}") };
            Err((format!("{variable} could be {numbers} in {name}{at}"), place))
        }
    }
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        match self.own.get(name) {
            Some(Ok(value)) => Some(*value),
            Some(Err(_)) => {
                self.missing.replace(Some(name.to_owned()));
                None
            }
            None => {
                if let Some(diagnostic) = self.variables.failed.get(name) {
                    self.failed.replace(Some(diagnostic.clone()));
                }
                self.variables.known.get(name).copied()
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        let own = self.own.iter().filter(|(_, value)| value.is_ok()).map(|(name, _)| *name);
        self.variables.known.keys().map(String::as_str).chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_can_use_the_fans_of_a_tensor_with_two_or_more_axes() {
        let mut variables = VariableValues::default();
        variables.known.insert("n".to_owned(), 2.0);
        let read = |shape: &[usize], spec: &str| {
            let json = format!(r#"{{"a": {{"dtype": "F32", "shape": {shape:?}}}}}"#);
            let manifest =
                crate::manifest::Manifest::from_json(&json, std::path::Path::new("m.json")).unwrap();
            Scope::new(&variables, &manifest.entries[0], &HashMap::new())
                .read(spec)
                .map(|init| init.to_string())
                .map_err(|error| match error {
                    ScopeError::Spec(error) => error.to_string(),
                    ScopeError::Variable(diagnostic) => diagnostic.to_string(),
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
        // In this spec, `fan_in` is the name of a mode, and not a variable. The mistake is the nonlinearity `rel`.
        let error = read(&[8], "kaiming_normal(mode=fan_in, nonlinearity=rel)").unwrap_err();
        assert!(error.contains("Unsupported nonlinearity rel") && !error.contains("no fan_in"), "{error}");
    }
}
