//! `fanin models`, which lists the built-in models or shows one model.

use serde_json::json;

use crate::args::Models;
use crate::error::Result;
use crate::terminal::{output, table};
use fanin_recipe::manifest::Manifest;
use fanin_recipe::models::{MODELS, Model};
use fanin_recipe::text;

pub(super) fn run(args: &Models) -> Result {
    let Some(name) = &args.name else {
        return if args.json {
            output::json(&json!(MODELS.iter().map(as_json).collect::<Vec<_>>()))
        } else {
            list()
        };
    };
    let model = Model::require(name)?;
    if args.recipe {
        return output::line(model.recipe_toml.trim_end());
    }
    if args.manifest {
        return output::line(model.manifest_json.trim_end());
    }
    if args.json {
        return output::json(&as_json(model));
    }
    show(model)
}

/// Returns the name of the Python class that loads a checkpoint of the model, for example
/// `transformers.GPT2LMHeadModel`.
fn loads_in(manifest: &Manifest) -> &str {
    manifest.metadata("loads_in").unwrap_or_default()
}

fn list() -> Result {
    let mut rows = table::new(&["model", ">tensors", ">values", ">size", "loads in", "source of the recipe"]);
    for model in MODELS {
        let manifest = model.manifest();
        rows.add_row([
            model.name.to_owned(),
            manifest.entries.len().to_string(),
            text::count(manifest.values()),
            text::bytes(manifest.bytes()),
            loads_in(&manifest).to_owned(),
            model.citation().to_owned(),
        ]);
    }
    output::line(table::text(&rows))
}

fn show(model: &Model) -> Result {
    let manifest = model.manifest();
    output::line(format!(
        "{}: {} tensors, {} values, {}; loads in {}\n\
         With --stream torch, the tensors are drawn from torch's generator in the order of the manifest, as a loop over\n\
         state_dict() would draw them. Building the class in Python draws them in another order.\n",
        model.name,
        manifest.entries.len(),
        text::count(manifest.values()),
        text::bytes(manifest.bytes()),
        loads_in(&manifest)
    ))?;
    output::line(model.recipe_toml.trim_end())
}

fn as_json(model: &Model) -> serde_json::Value {
    let manifest = model.manifest();
    json!({
        "name": model.name, "tensors": manifest.entries.len(), "values": manifest.values(),
        "bytes": manifest.bytes(), "loads_in": loads_in(&manifest), "recipe": model.recipe_name,
        "source": model.citation(), "made_with": manifest.metadata("made_with"),
    })
}
