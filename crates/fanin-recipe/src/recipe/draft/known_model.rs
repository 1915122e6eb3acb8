//! [`KnownModel`]: a model of a known family, with the numbers of its config.json.

use std::collections::BTreeMap;

use super::choice::{Choice, Section};
use super::config::ModelConfig;
use super::family::{Family, FamilyRule, NumberSource};
use crate::manifest::{Entry, Manifest};
use crate::recipe::glob::Glob;

/// A number that specs of a family can use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// The value. `None` if the number has no value for the model, for example `pad_token_id` for a model without a
    /// padding token.
    pub(super) value: Option<f64>,
    /// True if config.json was read or the value is a count of tensors. Otherwise, the value is only a default.
    pub(super) is_sure: bool,
    /// The pattern of the tensors that are counted, or `None` if the number comes from config.json.
    pub(super) count: Option<&'static str>,
}

/// A model of a known family.
#[derive(Debug)]
pub(super) struct KnownModel {
    family: &'static Family,
    /// True if config.json names the model. Tensor names alone do not determine which code initializes a model.
    is_certain: bool,
    pub(super) numbers: BTreeMap<String, Number>,
}

impl KnownModel {
    /// Returns the model if its family is known. The family is found from the configuration. If there is no
    /// configuration, the family is found from the names of tensors.
    pub(super) fn of(manifest: &Manifest, config: Option<&ModelConfig>) -> Option<Self> {
        let family = match config {
            None => Family::of_tensors(&manifest.entries),
            Some(config) => match config.model_type() {
                Some(model_type) => Family::of_type(model_type),
                None => config.architecture().and_then(Family::of_architecture),
            },
        }?;
        if config.is_some_and(|config| !meets(config, family)) {
            return None;
        }
        let model_type = config.and_then(ModelConfig::model_type);
        let numbers = family.numbers.iter().map(|(name, number)| {
            let number = match Family::number(name, number, model_type) {
                NumberSource::Count(pattern) => {
                    let count = matches(pattern, manifest);
                    Number { value: (count > 0).then_some(count as f64), is_sure: true, count: Some(pattern) }
                }
                NumberSource::Config { field, default } => {
                    let value = match config.and_then(|config| config.field(field)) {
                        None => default,
                        Some(value) => value.as_f64(),
                    };
                    Number { value, is_sure: config.is_some(), count: None }
                }
            };
            (name.clone(), number)
        });
        Some(Self { family, is_certain: config.is_some(), numbers: numbers.collect() })
    }

    /// Returns the name of the library code that the family's rules follow, such as "timm's DLA".
    pub(super) fn code(&self) -> &'static str {
        &self.family.code
    }

    /// Returns the [`Choice`] for a floating-point tensor: the spec of the first rule of the model's family that
    /// applies, and the reason. Returns `None` if no rule applies. The chosen spec is `copy` if the model's code
    /// computes the values. `has_fans` is true if the tensor's module has a `weight` of two or more axes.
    pub(super) fn choose(&self, entry: &Entry, section: Section, has_fans: bool) -> Option<Choice> {
        let mut rules =
            self.family.rules(entry).filter(|rule| has_fans || !rule.spec.contains("weight_fan_in"));
        rules.find_map(|rule| self.choice(rule, entry, section))
    }

    /// Returns the [`Choice`] with the spec of `rule`. Returns `None` if the spec uses a number that has no value for
    /// this model (see [`Number::value`]).
    fn choice(&self, rule: &'static FamilyRule, entry: &Entry, section: Section) -> Option<Choice> {
        let reason = rule.reason.as_deref().unwrap_or(&self.family.code);
        let (spec, is_sure) = match rule.spec.strip_prefix("padded(").and_then(|rest| rest.strip_suffix(')'))
        {
            Some(spec) => {
                let token = self.numbers.get("pad_token_id");
                let padded = padded(spec, &entry.shape, token.and_then(|token| token.value));
                let is_sure = padded.is_some() && token.is_some_and(|token| token.is_sure);
                (padded.unwrap_or_else(|| spec.to_owned()), is_sure)
            }
            None => (rule.spec.clone(), true),
        };
        let used: Vec<&Number> = self.used(&spec).map(|(_, number)| number).collect();
        let is_guess = !self.is_certain || !is_sure || used.iter().any(|number| !number.is_sure);
        used.iter().all(|number| number.value.is_some()).then_some(Choice { section, spec, reason, is_guess })
    }

    /// Returns the numbers that a spec uses, each with its name.
    pub(super) fn used<'a>(&'a self, spec: &str) -> impl Iterator<Item = (&'a str, &'a Number)> {
        let words: Vec<String> =
            spec.split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_owned).collect();
        let numbers = self.numbers.iter().map(|(name, number)| (name.as_str(), number));
        numbers.filter(move |(name, _)| words.iter().any(|word| word == name))
    }

    /// Returns the names and values of the numbers that specs can use as variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, f64)> {
        self.numbers.iter().filter_map(|(name, number)| Some((name.clone(), number.value?)))
    }
}

/// Returns the number of tensors whose names match a pattern.
fn matches(pattern: &str, manifest: &Manifest) -> usize {
    Glob::parse(pattern)
        .map_or(0, |glob| manifest.entries.iter().filter(|entry| glob.matches(&entry.name)).count())
}

/// Returns true if `config` has the values in `family.requires`. A missing field is accepted, because its default is
/// the required value.
fn meets(config: &ModelConfig, family: &Family) -> bool {
    family.requires.iter().all(|(field, required)| {
        config
            .field(field)
            .is_none_or(|value| serde_json::to_value(required).is_ok_and(|required| *value == required))
    })
}

/// Returns the spec of an embedding with zeros in the row `token`, such as `blocks(3: normal, 1: zeros, 6: normal)`. A
/// negative `token` counts from the end, as in torch. Returns `spec` if `token` is `None`. Returns `None` if the row
/// `token` does not exist.
fn padded(spec: &str, shape: &[usize], token: Option<f64>) -> Option<String> {
    let Some(token) = token else { return Some(spec.to_owned()) };
    let rows = *shape.first()? as f64;
    let row = if token < 0.0 { token + rows } else { token };
    if row.fract() != 0.0 || row < 0.0 || row >= rows {
        return None;
    }
    let after = rows - row - 1.0;
    let block = |rows: f64, spec: &str| (rows > 0.0).then(|| format!("{rows}: {spec}"));
    let blocks = [block(row, spec), block(1.0, "zeros"), block(after, spec)];
    Some(format!("blocks({})", blocks.into_iter().flatten().collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_the_padding_token_is_zero() {
        let of = |token| padded("normal", &[10, 4], token).unwrap_or_default();
        assert_eq!(of(None), "normal");
        assert_eq!(of(Some(0.0)), "blocks(1: zeros, 9: normal)");
        assert_eq!(of(Some(3.0)), "blocks(3: normal, 1: zeros, 6: normal)");
        assert_eq!(of(Some(9.0)), "blocks(9: normal, 1: zeros)");
        assert_eq!(of(Some(-1.0)), of(Some(9.0)));
        assert_eq!(of(Some(10.0)), "");
    }
}
