//! [`Family`]: models whose initialization is known from the code of a library. The files `families/*.toml` list these
//! models.

use std::sync::LazyLock;

use serde::Deserialize;
use toml::Value as Toml;

use crate::manifest::Entry;
use crate::recipe::glob::Glob;

/// A family of models, with rules for the tensors of these models.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    /// Patterns that match the `model_type` of the models in transformers, or their names in timm.
    types: Vec<String>,
    /// Texts that identify a model without config.json. Each text must occur in the name of at least one tensor. Empty
    /// if tensor names cannot identify the family.
    #[serde(default)]
    tensors: Vec<String>,
    /// The code that the rules follow, for example "T5PreTrainedModel of transformers".
    pub(super) code: String,
    /// The numbers that specs of this family can use. A key is the name of a number, for example `initializer_range`. A
    /// value of this table is the definition of the number, and has one of three forms:
    ///
    /// - `0.02`. The number is read from the field of config.json with the same name. The default is 0.02.
    /// - `{ field = "init_std", default = 0.02, by_type = { t5 = 1 } }`. The number is read from config.json at the
    ///   path `init_std`. Without `field`, the path is the name of the number. The default is 1 for the model type
    ///   `t5`, and 0.02 for other model types. `by_type` is optional.
    /// - `{ count = "*.weight" }`. The number is how many tensors have names that match the pattern.
    ///
    /// The default is used if config.json has nothing at the path. If the default is "none", the number then has no
    /// value.
    #[serde(default)]
    pub(super) numbers: toml::Table,
    /// Values that fields of config.json must have. If a field has another value, the model does not belong to the
    /// family.
    #[serde(default)]
    pub(super) requires: toml::Table,
    /// The name of a list of shared rules. These rules come after the rules of the family.
    #[serde(default)]
    then: Option<String>,
    #[serde(default)]
    rules: Vec<FamilyRule>,
}

/// A rule of a family: a pattern, a spec and, optionally, the reason for the spec.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct FamilyRule {
    axes: Axes,
    pattern: Glob,
    /// A spec, `copy`, or `padded(spec)`. `padded(spec)` is the spec with zeros in the row of the padding token.
    pub(super) spec: String,
    pub(super) reason: Option<String>,
}

/// The number of axes that a tensor must have for a rule to apply.
#[derive(Debug, Clone, Copy)]
enum Axes {
    Any,
    Exactly(usize),
    AtLeast(usize),
}

impl TryFrom<Vec<String>> for FamilyRule {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let (pattern, spec, reason) = match texts.as_slice() {
            [pattern, spec] => (pattern, spec, None),
            [pattern, spec, reason] => (pattern, spec, Some(reason.clone())),
            _ => return Err(format!("a rule is [pattern, spec] or [pattern, spec, reason], got {texts:?}")),
        };
        // A pattern can begin with the number of axes: "1: *.weight" or "2+: *.weight".
        let (axes, pattern) = match pattern.split_once(": ") {
            None => (Axes::Any, pattern.as_str()),
            Some((axes, pattern)) => {
                let number =
                    |text: &str| text.parse().map_err(|_| format!("{axes:?} is not a number of axes"));
                let axes = match axes.strip_suffix('+') {
                    Some(least) => Axes::AtLeast(number(least)?),
                    None => Axes::Exactly(number(axes)?),
                };
                (axes, pattern)
            }
        };
        Ok(Self { axes, pattern: Glob::parse(pattern)?, spec: spec.clone(), reason })
    }
}

impl FamilyRule {
    fn matches(&self, entry: &Entry) -> bool {
        let has_axes = match self.axes {
            Axes::Any => true,
            Axes::Exactly(axes) => entry.shape.len() == axes,
            Axes::AtLeast(axes) => entry.shape.len() >= axes,
        };
        has_axes && self.pattern.matches(&entry.name)
    }
}

/// The source of a number that the specs of a [`Family`] can use, such as `initializer_range`.
#[derive(Debug, Clone, Copy)]
pub(super) enum NumberSource<'a> {
    /// The number of tensors whose names match a pattern.
    Count(&'a str),
    /// The number at the path `field` of config.json, or `default` if the field is missing. If `default` is `None`, the
    /// number has no value for a model without the field.
    Config { field: &'a str, default: Option<f64> },
}

/// The content of a file in `families/`: the families of one library.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Library {
    /// Lists of rules that several families share. A key is the name of a list.
    shared: std::collections::BTreeMap<String, Vec<FamilyRule>>,
    family: Vec<Family>,
}

impl Library {
    fn read(text: &str) -> Self {
        toml::from_str(text).expect("a test reads the files of families")
    }

    fn find(&self, name: &str) -> Option<&Family> {
        self.family.iter().find(|family| family.types.iter().any(|pattern| is_match(pattern, name)))
    }
}

fn is_match(pattern: &str, name: &str) -> bool {
    Glob::parse(pattern).is_ok_and(|glob| glob.matches(name))
}

static TRANSFORMERS: LazyLock<Library> =
    LazyLock::new(|| Library::read(include_str!("../../../families/transformers.toml")));
static TIMM: LazyLock<Library> = LazyLock::new(|| Library::read(include_str!("../../../families/timm.toml")));

impl Family {
    /// Returns the family of a `model_type` of transformers.
    pub(super) fn of_type(model_type: &str) -> Option<&'static Self> {
        TRANSFORMERS.find(model_type)
    }

    /// Returns the family of an `architecture` of timm.
    pub(super) fn of_architecture(architecture: &str) -> Option<&'static Self> {
        TIMM.find(architecture)
    }

    /// Returns the first family that the names of the entries identify: each text in the family's field `tensors`
    /// occurs in a name. A family without texts in `tensors` is never returned.
    pub(super) fn of_tensors(entries: &[Entry]) -> Option<&'static Self> {
        let has = |text: &String| entries.iter().any(|entry| entry.name.contains(text.as_str()));
        let all = TRANSFORMERS.family.iter().chain(&TIMM.family);
        all.filter(|family| !family.tensors.is_empty()).find(|family| family.tensors.iter().all(has))
    }

    /// Returns the rules that match a tensor, in order.
    pub(super) fn rules(&self, entry: &Entry) -> impl Iterator<Item = &FamilyRule> {
        let shared = self
            .then
            .as_ref()
            .and_then(|name| TRANSFORMERS.shared.get(name).or_else(|| TIMM.shared.get(name)));
        self.rules.iter().chain(shared.into_iter().flatten()).filter(move |rule| rule.matches(entry))
    }

    /// Returns the [`NumberSource`] of an entry of the table [`Family::numbers`]. The argument `name` is the key of the
    /// entry, such as `initializer_range`. The argument `number` is the value of the entry. If this value has a table
    /// `by_type`, the argument `model_type` selects a default from the table `by_type`.
    pub(super) fn number<'a>(name: &'a str, number: &'a Toml, model_type: Option<&str>) -> NumberSource<'a> {
        let value =
            |value: &Toml| value.as_float().or_else(|| value.as_integer().map(|integer| integer as f64));
        let text = |key: &str| number.get(key).and_then(Toml::as_str);
        let of_type = model_type.and_then(|model_type| number.get("by_type")?.get(model_type));
        match text("count") {
            Some(pattern) => NumberSource::Count(pattern),
            None => NumberSource::Config {
                field: text("field").unwrap_or(name),
                default: value(of_type.or(number.get("default")).unwrap_or(number)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_families_can_be_read_and_name_shared_rules_that_exist() {
        for library in [&*TRANSFORMERS, &*TIMM] {
            assert!(!library.family.is_empty());
            for family in &library.family {
                assert!(
                    family.then.as_ref().is_none_or(|name| library.shared.contains_key(name)),
                    "{family:?}"
                );
                assert!(!family.types.is_empty() && !family.code.is_empty(), "{family:?}");
                assert!(family.types.iter().all(|pattern| Glob::parse(pattern).is_ok()), "{family:?}");
            }
        }
    }

    #[test]
    fn a_number_is_a_field_a_default_or_a_count() {
        let table: toml::Table =
            "a = 2\nb = 0.5\nc = 'none'\nd = { field = 'x.y', default = 3, by_type = { t5 = 4 } }\ne = { count = '*.w' }"
                .parse()
                .unwrap();
        let of_type = |name: &'static str, model_type| match Family::number(name, &table[name], model_type) {
            NumberSource::Count(pattern) => format!("count {pattern}"),
            NumberSource::Config { field, default } => format!("{field} {default:?}"),
        };
        let found = ["a", "b", "c", "d", "e"].map(|name| of_type(name, None));
        assert_eq!(found, ["a Some(2.0)", "b Some(0.5)", "c None", "x.y Some(3.0)", "count *.w"]);
        assert_eq!(["t5", "mt5"].map(|of| of_type("d", Some(of))), ["x.y Some(4.0)", "x.y Some(3.0)"]);
    }

    #[test]
    fn the_number_of_axes_selects_a_rule() {
        let rule = FamilyRule::try_from(vec!["2+: *.weight".to_owned(), "normal".to_owned()]).unwrap();
        let entry = |shape: &[usize]| Entry {
            name: "a.weight".to_owned(),
            dtype: crate::StoredType::F32,
            shape: shape.to_vec(),
            offsets: None,
        };
        assert!(
            rule.matches(&entry(&[2, 3])) && rule.matches(&entry(&[2, 3, 4])) && !rule.matches(&entry(&[2]))
        );
        assert!(FamilyRule::try_from(vec!["x: *".to_owned(), "normal".to_owned()]).is_err());
        assert!(FamilyRule::try_from(vec!["*".to_owned()]).is_err());
    }
}
