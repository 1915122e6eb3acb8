//! Variables: named numbers that specs can use. A line of `[vars]` defines a variable as one of these:
//!
//! - a number, such as `sigma = 0.02`;
//! - a property of tensors, such as `n_layer = { count = "h.*.ln_1.weight" }`;
//! - a number in each parameter's name, such as `layer = "encoder.layer.{}"`.

use std::collections::BTreeMap;

use fanin::{AxisLayout, Fans};

use super::name_number::NameNumber;
use super::rule::Pattern;
use super::source::Span;
use crate::diagnostic::Diagnostic;
use crate::manifest::Manifest;
use crate::text::counted;

/// Variables that have a separate value for each parameter:
///
/// - `fan_in`, `fan_out`: the fans of the parameter;
/// - `weight_fan_in`, `weight_fan_out`: for a bias, the fans of the weight in the same module;
/// - `layer`: the index of the layer, a number in the parameter's name.
///
/// Of these variables, a recipe can define only `layer`. The definition is the part of the name that contains the number,
/// with `{}` in place of the number: `layer = "encoder.layer.{}"`.
pub(super) const PARAMETER_VARIABLES: [&str; 5] =
    ["fan_in", "fan_out", "weight_fan_in", "weight_fan_out", "layer"];

/// The names that have a meaning in specs. A recipe cannot define variables with these names.
pub(super) const RESERVED: [&str; 7] = ["sqrt", "math", "inf", "nan", "pi", "shape", "index"];

/// A variable of `[vars]`.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: VariableValue,
    /// The span of the name.
    pub(super) span: Span,
    /// True if a base recipe also defines a variable of this name. An unused variable is then not an error.
    pub(super) inherited: bool,
}

/// The value of a variable, as a recipe defines it.
#[derive(Debug, Clone)]
pub(super) enum VariableValue {
    /// A number.
    Number(f64),
    /// A property of the tensors that match the pattern.
    Property(Property, Pattern),
    /// A number in the name of the parameter.
    NameNumber(NameNumber),
}

/// A property of the tensors that match a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    /// The number of matching tensors.
    Count,
    /// The fan_in of the matching tensors, which must all have the same fan_in.
    FanIn,
    /// The fan_out of the matching tensors, which must all have the same fan_out.
    FanOut,
}

impl Property {
    /// All properties, with their names in recipes.
    pub(super) const ALL: [(&'static str, Property); 3] =
        [("count", Property::Count), ("fan_in", Property::FanIn), ("fan_out", Property::FanOut)];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, property)| *property == self).map_or("", |(name, _)| name)
    }
}

/// The values of a recipe's variables for one model.
#[derive(Debug, Default)]
pub(super) struct VariableValues {
    pub(super) known: BTreeMap<String, f64>,
    /// The variables without a value for this model, each with the reason. The diagnostic of a variable is reported
    /// only if a spec uses this variable.
    pub(super) failed: BTreeMap<String, Diagnostic>,
    /// The variables whose values are read from numbers in the parameter's name.
    pub(super) in_names: BTreeMap<String, NameNumber>,
}

impl Property {
    /// Returns the value of this property for the tensors that match `pattern`. Returns a diagnostic if no tensor
    /// matches. If the property is a fan, also returns a diagnostic if a matching tensor has no fans, or if
    /// this fan differs between matching tensors.
    pub(super) fn evaluate(self, pattern: &Pattern, manifest: &Manifest) -> Result<f64, Diagnostic> {
        let property = self;
        let matched = || manifest.entries.iter().filter(|entry| pattern.matches(&entry.name));
        let error =
            |message: String| Err(pattern.span.diagnostic(message, "correct the pattern, or write a number"));
        if matched().next().is_none() {
            return error(format!("no tensor of this model matches {:?}", pattern.text));
        }
        if property == Property::Count {
            return Ok(matched().count() as f64);
        }
        let fan = |fans: Fans| if property == Property::FanIn { fans.fan_in } else { fans.fan_out };
        let mut first: Option<(usize, &str)> = None;
        for entry in matched() {
            let Ok(fans) = AxisLayout::OutIn.fans(&entry.shape) else {
                return error(format!("{} {:?} has no fans", entry.name, entry.shape));
            };
            match first {
                Some((expected, name)) if expected != fan(fans) => {
                    let tensors = counted(matched().count() as u64, "tensor");
                    let (property, other) = (property.name(), fan(fans));
                    return error(format!(
                        "{tensors} match, and their {property} differs: {name} has {expected}, {} has {other}",
                        entry.name
                    ));
                }
                _ => first = Some((fan(fans), &entry.name)),
            }
        }
        Ok(first.map_or(0, |(fan, _)| fan) as f64)
    }
}

/// Returns the words of a spec: the maximal sequences of letters, digits and underscores. Numbers count as words.
pub(super) fn words(spec: &str) -> impl Iterator<Item = &str> {
    spec.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}
