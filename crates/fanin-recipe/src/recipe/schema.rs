//! The JSON schema of recipes, for editors: made from the schemes, types and words that the code knows.

use fanin::DType;
use fanin::spec::{Scheme, schemes};
use serde_json::{Map, Value, json};

use super::What;
use super::parse::MEMBERS;
use super::variables::Reading;
use crate::models::MODELS;

/// The schema: draft 7, which editors' TOML tools understand.
pub fn schema() -> Value {
    let specs = json!({
        "title": "what the tensors get",
        "type": "string",
        "anyOf": [
            { "enum": words(), "description": "In the place of a spec." },
            { "pattern": spec_pattern(), "description": "A spec: name(key=value, ...), in torch's words." },
        ],
        "description": format!("One of:\n{}", told().join("\n")),
        "examples": examples(),
    });
    let dtypes: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
    let readings: Map<String, Value> = Reading::ALL
        .map(|(name, reading)| (name.to_owned(), json!({ "type": "string", "description": said(reading) })))
        .into_iter()
        .collect();
    let members = json!({
        "extends": {
            "title": "the recipe that this one stands on",
            "type": "string",
            "minLength": 1,
            "description": "A built-in model, or a recipe file beside this one. Its rules come after those here; variables, types and ties named here replace its own.",
            "examples": MODELS.iter().map(|model| model.name).collect::<Vec<_>>(),
        },
        "vars": {
            "title": "numbers that specs use",
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "enum": ["fan_in", "fan_out", "weight_fan_in", "weight_fan_out", "layer", "sqrt", "math", "inf", "nan", "pi"] } },
            "additionalProperties": {
                "anyOf": [
                    { "type": "number" },
                    { "type": "object", "properties": readings, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 },
                ],
                "description": "A number, or { count = \"pattern\" } and the like, read off the model.",
            },
        },
        "init": {
            "title": "rules: pattern = what the tensors get",
            "type": "object",
            "description": "The first pattern that matches a name wins. * stands for anything, dots included. A rule that matches nothing is an error.",
            "additionalProperties": specs,
        },
        "dtype": {
            "title": "types: pattern = type",
            "type": "object",
            "description": "The first pattern that matches wins, before --dtype and before the type of the file. Integers keep theirs.",
            "additionalProperties": { "type": "string", "enum": dtypes },
        },
        "tie": {
            "title": "second name = first name",
            "type": "object",
            "description": "The tensor of the second name has the values of the first; false unties what an extended recipe ties.",
            "additionalProperties": { "anyOf": [{ "type": "string", "minLength": 1 }, { "const": false }] },
        },
    });
    let all = members.as_object().is_some_and(|members| members.keys().eq(MEMBERS.iter()));
    assert!(all, "the schema has every member of a recipe");
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "fanin recipe",
        "description": "What each parameter of a model starts with. docs/recipes.md is the page about it.",
        "type": "object",
        "additionalProperties": false,
        "anyOf": [{ "required": ["init"] }, { "required": ["extends"] }],
        "properties": members,
    })
}

fn words() -> Vec<&'static str> {
    What::WORDS.map(|(word, _)| word).to_vec()
}

fn said(reading: Reading) -> &'static str {
    match reading {
        Reading::Count => "How many tensors match the pattern.",
        Reading::FanIn => "The fan_in of the tensors that match the pattern, which must be one number.",
        Reading::FanOut => "The fan_out of the tensors that match the pattern, which must be one number.",
    }
}

fn spec_pattern() -> String {
    let names: Vec<&str> = schemes().iter().map(|scheme| scheme.name).collect();
    format!(r"^\s*({})_?\s*(\([\s\S]*\))?\s*$", names.join("|"))
}

fn told() -> Vec<String> {
    let scheme = |scheme: &Scheme| {
        let parameters = scheme.parameters.iter().map(|(name, default)| match default {
            Some(default) => format!("{name}={default}"),
            None => (*name).to_owned(),
        });
        format!("{}({}): {}", scheme.name, parameters.collect::<Vec<_>>().join(", "), scheme.formula)
    };
    let words = [
        "arange: 0, 1, 2 ... along the last axis, for integers",
        "copy: the values of the file that --like names",
        "skip: left out of what is written",
    ];
    schemes().iter().map(scheme).chain(words.map(str::to_owned)).collect()
}

fn examples() -> Vec<String> {
    let argument = |name: &str| match name {
        // Written without its name.
        "spec" => "xavier_uniform, xavier_uniform".to_owned(),
        "fan_in" => "fan_in=512".to_owned(),
        _ => format!("{name}=0.5"),
    };
    let example = |scheme: &Scheme| {
        let required = scheme.parameters.iter().filter(|(_, default)| default.is_none());
        let required: Vec<String> = required.map(|(name, _)| argument(name)).collect();
        match scheme.name {
            name if required.is_empty() => name.to_owned(),
            "stacked" => "stacked(xavier_uniform)".to_owned(),
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
    fn examples_are_specs() {
        for example in examples() {
            let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 2.0)]);
            fanin::init::Init::parse_with(&example, &variables).unwrap();
        }
    }
}
