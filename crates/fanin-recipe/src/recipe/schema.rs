//! The JSON schema of recipes, for editors. The schema is generated from the lists of schemes, dtypes and keys in the
//! code.

use fanin::DType;
use fanin::spec::{Scheme, schemes};
use serde_json::{Map, Value, json};

use super::definition::KEYS;
use super::rule::Assignment;
use super::variable::{PARAMETER_VARIABLES, Property, RESERVED};
use crate::models::MODELS;

/// Returns the schema, in draft 7 of JSON Schema. TOML language servers support this draft.
pub fn schema() -> Value {
    let specs = json!({
        "title": "the initializer of the matched tensors",
        "type": "string",
        "anyOf": [
            { "enum": words(), "description": "A word that is written instead of a spec." },
            { "pattern": r"^\s*copy\s*\([\s\S]*\)\s*$", "description": "copy(from='name'), copy(rest=spec), copy(rest=mean_resizing)" },
            { "pattern": spec_pattern(), "description": "A spec: name(key=value, ...), with the names of torch.nn.init." },
        ],
        "description": format!("One of:\n{}", descriptions().join("\n")),
        "examples": examples(),
    });
    let dtypes: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
    let properties: Map<String, Value> = Property::ALL
        .map(|(name, property)| {
            (name.to_owned(), json!({ "type": "string", "description": meaning(property) }))
        })
        .into_iter()
        .collect();
    let reserved: Vec<&str> =
        PARAMETER_VARIABLES.into_iter().filter(|name| *name != "layer").chain(RESERVED).collect();
    let keys = json!({
        "extends": {
            "title": "the recipe that this recipe extends",
            "type": "string",
            "minLength": 1,
            "description": "The base recipe: the name of a built-in model, or the path of a recipe file in the folder of this recipe or below this folder. The rules of the base recipe come after the rules of this recipe. Variables, dtypes and ties of this recipe replace those with the same name.",
            "examples": MODELS.iter().map(|model| model.name).collect::<Vec<_>>(),
        },
        "vars": {
            "title": "variables: numbers that specs can use",
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "enum": reserved } },
            "additionalProperties": {
                "anyOf": [
                    { "type": "number" },
                    { "type": "string", "pattern": "\\{\\}", "description": "The number at {} in the name of the parameter, for example encoder.layer.{}" },
                    { "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 },
                ],
                "description": "A number; a property of the tensors that match a pattern, which is { count = \"pattern\" }, { fan_in = \"pattern\" } or { fan_out = \"pattern\" }; or a text with {}, such as \"encoder.layer.{}\", for the number at {} in the name of the parameter.",
            },
        },
        "init": {
            "title": "rules: pattern = spec",
            "type": "object",
            "description": "The first rule whose pattern matches the name of a parameter is applied. * matches any text, dots included. An unused rule is an error.",
            "additionalProperties": specs,
        },
        "dtype": {
            "title": "dtypes: pattern = dtype",
            "type": "object",
            "description": "The first rule whose pattern matches the name of a parameter is applied. The rule takes precedence over the dtype that is given for the whole checkpoint, and over the dtype in the file. Integer tensors keep their dtype.",
            "additionalProperties": { "type": "string", "enum": dtypes },
        },
        "tie": {
            "title": "alias = canonical name",
            "type": "object",
            "description": "The alias has the values of the canonical tensor. false removes a tie of the base recipe.",
            "additionalProperties": { "anyOf": [{ "type": "string", "minLength": 1 }, { "const": false }] },
        },
    });
    let is_complete = keys.as_object().is_some_and(|keys| keys.keys().eq(KEYS.iter()));
    assert!(is_complete, "the schema must have every key of a recipe");
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "fanin recipe",
        "description": "The initializer of each parameter of a model. See docs/recipes.md.",
        "type": "object",
        "additionalProperties": false,
        "anyOf": [{ "required": ["init"] }, { "required": ["extends"] }],
        "properties": keys,
    })
}

/// Returns the words that may be written instead of a spec.
fn words() -> Vec<&'static str> {
    Assignment::WORDS.to_vec()
}

fn meaning(property: Property) -> &'static str {
    match property {
        Property::Count => "The number of tensors that match the pattern.",
        Property::FanIn => {
            "The fan_in of the tensors that match the pattern. All these tensors must have the same fan_in."
        }
        Property::FanOut => {
            "The fan_out of the tensors that match the pattern. All these tensors must have the same fan_out."
        }
    }
}

/// Returns a regular expression that matches the name of any scheme, with or without arguments.
fn spec_pattern() -> String {
    let names: Vec<&str> = schemes().iter().map(|scheme| scheme.name).collect();
    format!(r"^\s*({})_?\s*(\([\s\S]*\))?\s*$", names.join("|"))
}

/// Returns a line for each scheme, and for each word of [`Assignment::WORDS`].
fn descriptions() -> Vec<String> {
    let scheme = |scheme: &Scheme| format!("{}: {}", scheme.signature(), scheme.formula);
    let words = [
        "arange: 0, 1, 2, ... along the last axis, for integer tensors",
        "copy(from, rest): the values of a checkpoint, which is another checkpoint or the checkpoint with the names and shapes",
        "skip: the tensor is not written",
    ];
    schemes().iter().map(scheme).chain(words.map(str::to_owned)).collect()
}

/// Returns examples of valid specs: one for each scheme, and a few more.
fn examples() -> Vec<String> {
    let argument = |name: &str| match name {
        // `blocks` takes specs as positional arguments.
        "spec" => "uniform, uniform".to_owned(),
        "fan_in" => "fan_in=512".to_owned(),
        _ => format!("{name}=0.5"),
    };
    let example = |scheme: &Scheme| {
        let required = scheme.parameters.iter().filter(|(_, default)| default.is_none());
        let required: Vec<String> = required.map(|(name, _)| argument(name)).collect();
        match scheme.name {
            name if required.is_empty() => name.to_owned(),
            "stacked" => "stacked(xavier_uniform)".to_owned(),
            "log" => "log(arange(1, 17))".to_owned(),
            "exp" => "exp(normal)".to_owned(),
            "softplus_inverse" => "softplus_inverse(log_uniform(0.001, 0.1))".to_owned(),
            name => format!("{name}({})", required.join(", ")),
        }
    };
    let more = [
        "normal(std=0.02)",
        "normal(std=0.02/sqrt(2*n_layer))",
        "kaiming_normal(mode=fan_out, nonlinearity=relu)",
    ];
    schemes().iter().map(example).chain(more.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_valid_specs() {
        for example in examples() {
            let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 2.0)]);
            fanin::init::Init::parse_with(&example, &variables).unwrap();
        }
    }
}
