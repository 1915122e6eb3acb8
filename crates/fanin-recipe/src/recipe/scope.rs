//! The variables that the spec of a parameter can use.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use fanin::AxisLayout;
use fanin::init::Init;
use fanin::spec::Variables;

use super::variable::{PARAMETER_VARIABLES, VariableValues};
use crate::diagnostic::Diagnostic;
use crate::manifest::Entry;

/// The reason why a spec could not be parsed.
pub(super) enum ScopeError {
    /// The spec is invalid.
    Spec(fanin::Error),
    /// The spec uses a variable of the recipe whose value cannot be read from this model.
    Variable(Diagnostic),
}

/// The variables of a recipe, together with the variables that have a value of their own for each parameter, such as
/// `fan_in`.
pub(super) struct Scope<'a> {
    variables: &'a VariableValues,
    entry: &'a Entry,
    /// The values of the variables in [`PARAMETER_VARIABLES`], in the same order. A value is `None` if the parameter
    /// does not have the variable. For example, a bias has no `fan_in`.
    own: [Option<f64>; PARAMETER_VARIABLES.len()],
    /// A variable of [`PARAMETER_VARIABLES`] that the spec used although the parameter does not have the variable. If
    /// there are several, this is the one that was used last.
    missing: Cell<Option<&'static str>>,
    /// The diagnostic of a variable that the spec used although the variable's value could not be read from the model.
    /// If there are several, this is the diagnostic of the variable that was used last.
    failed: RefCell<Option<Diagnostic>>,
}

impl<'a> Scope<'a> {
    /// Returns the scope of the parameter `entry`. `entries` maps the names of all tensors of the model to their
    /// entries.
    pub(super) fn new(
        variables: &'a VariableValues,
        entry: &'a Entry,
        entries: &HashMap<&str, &Entry>,
    ) -> Self {
        let fans = |shape: &[usize]| {
            let fans = AxisLayout::OutIn.fans(shape).ok();
            [fans.map(|fans| fans.fan_in as f64), fans.map(|fans| fans.fan_out as f64)]
        };
        let [fan_in, fan_out] = fans(&entry.shape);
        let weight = entry.name.strip_suffix("bias").map(|prefix| format!("{prefix}weight"));
        let weight = weight.and_then(|name| entries.get(name.as_str()).copied());
        let [weight_fan_in, weight_fan_out] = weight.map_or([None, None], |weight| fans(&weight.shape));
        let layer = entry.name.split('.').find_map(|word| word.parse::<u32>().ok()).map(f64::from);
        let own = [fan_in, fan_out, weight_fan_in, weight_fan_out, layer];
        Self { variables, entry, own, missing: Cell::new(None), failed: RefCell::new(None) }
    }

    /// Parses a spec in this scope. If the spec uses a variable that the parameter does not have, the error says why.
    pub(super) fn read(&self, spec: &str) -> Result<Init, ScopeError> {
        self.missing.set(None);
        let read = Init::parse_with(spec, self);
        if let Some(diagnostic) = self.failed.take().filter(|_| read.is_err()) {
            return Err(ScopeError::Variable(diagnostic));
        }
        read.map_err(|error| match (error, self.missing.get()) {
            (fanin::Error::Spec(mut error), Some(missing)) => {
                let (reason, help) = self.why_missing(missing);
                error.message = format!("there is no {missing}: {reason}");
                error.help = Some(help.to_owned());
                ScopeError::Spec(error.into())
            }
            (error, _) => ScopeError::Spec(error),
        })
    }

    /// Returns why `variable` is not defined for this parameter of the model, and the remedy.
    fn why_missing(&self, variable: &str) -> (String, &'static str) {
        let (name, shape) = (&self.entry.name, &self.entry.shape);
        match variable {
            "fan_in" | "fan_out" => (
                format!("a tensor of shape {shape:?} has no fans"),
                "write the number or a variable; the fan_in of a bias's weight is weight_fan_in",
            ),
            "layer" => {
                (format!("the name {name} contains no layer number"), "write the number or a variable")
            }
            _ => {
                let reason = format!("{name} is not a bias of a module whose weight has two or more axes");
                (reason, "write the number or a variable")
            }
        }
    }
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        let Some(index) = PARAMETER_VARIABLES.iter().position(|&own| own == name) else {
            if let Some(diagnostic) = self.variables.failed.get(name) {
                self.failed.replace(Some(diagnostic.clone()));
            }
            return self.variables.known.get(name).copied();
        };
        if self.own[index].is_none() {
            self.missing.set(Some(PARAMETER_VARIABLES[index]));
        }
        self.own[index]
    }

    fn names(&self) -> Vec<&str> {
        let own = PARAMETER_VARIABLES.iter().zip(self.own);
        let own = own.filter(|(_, value)| value.is_some()).map(|(name, _)| *name);
        self.variables.known.keys().map(String::as_str).chain(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_of_two_or_more_axes_has_fans() {
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
        // In this spec, `fan_in` is the name of a mode and not a variable. The mistake is the nonlinearity.
        let error = read(&[8], "kaiming_normal(mode=fan_in, nonlinearity=rel)").unwrap_err();
        assert!(error.contains("Unsupported nonlinearity rel") && !error.contains("no fan_in"), "{error}");
    }
}
