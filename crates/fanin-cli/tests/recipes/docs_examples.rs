//! Tests of the examples in docs/recipes.md.

use std::collections::BTreeMap;
use std::path::Path;

use fanin_recipe::{Manifest, Model, Recipe};

/// Returns the examples of a Markdown page. Each is an HTML comment and the code of the fenced block after it.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(about) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else {
            assert!(!line.starts_with("```toml"), "an example without a comment is not tested");
            continue;
        };
        // Tests of the Python package run these commands.
        if about.starts_with("run: sh") || about.starts_with("$ ") {
            continue;
        }
        assert!(lines.next().unwrap().starts_with("```"));
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((about.to_owned(), text.join("\n") + "\n"));
    }
    blocks
}

#[test]
fn the_examples_in_docs_recipes_have_the_documented_results() {
    let page = include_str!("../../../../docs/recipes.md").replace("\r\n", "\n");
    let (mut manifests, mut error, mut run) = (BTreeMap::new(), None, 0);
    for (about, text) in blocks(&page) {
        match about.split_once(' ') {
            None if about == "says" => {
                assert_eq!(error.take().expect("an example with an error"), text.trim_end())
            }
            None => {
                _ = manifests.insert(about.clone(), Manifest::from_json(&text, Path::new(&about)).unwrap())
            }
            Some(("on", model)) => {
                assert!(error.is_none(), "{error:?}");
                let manifest =
                    Model::find(model).map(Model::manifest).unwrap_or_else(|| manifests[model].clone());
                let planned = Recipe::parse(&text, Path::new("recipe.toml"))
                    .and_then(|recipe| recipe.plan_with_dtype(&manifest, &[], None));
                error = planned.err().map(|error| error.to_string());
                run += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(error.is_none() && run == 14, "{run} {error:?}");
}
