//! Parsing arbitrary text as a recipe returns a recipe or an error. `Recipe::plan` returns plans or an error.
//! `Recipe::flatten` returns the text of a recipe with the same plans.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use fanin_recipe::{Manifest, Planned, Recipe};
use libfuzzer_sys::fuzz_target;

/// The model to which the fuzzed recipe is applied.
static MODEL: LazyLock<Manifest> = LazyLock::new(|| {
    let tensors = [
        ("wte.weight", "[16, 4]"),
        ("h.0.ln_1.weight", "[4]"),
        ("h.0.attn.c_attn.weight", "[4, 12]"),
        ("h.1.attn.c_attn.weight", "[4, 12]"),
        ("h.1.mlp.c_fc.bias", "[8]"),
        ("conv.weight", "[4, 2, 3, 3]"),
    ];
    let members: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| format!(r#""{name}": {{"dtype": "F32", "shape": {shape}}}"#))
        .collect();
    Manifest::from_json(&format!("{{{}}}", members.join(", ")), Path::new("model.json"))
        .expect("a valid manifest")
});

fuzz_target!(|text: &str| {
    let path = Path::new("fuzzed.toml");
    let Ok(recipe) = Recipe::parse(text, path) else { return };
    let Ok(planned) = recipe.plan(&MODEL, &[]) else { return };
    let flat = recipe.flatten(&MODEL);
    let again = Recipe::parse(&flat, path).unwrap_or_else(|error| panic!("{error}\n{flat}"));
    let again = again.plan(&MODEL, &[]).unwrap_or_else(|error| panic!("{error}\n{flat}"));
    // Describes all fields except the location of the rule, because a rule has different locations in the two recipes.
    let described = |planned: &[Planned]| -> Vec<String> {
        let of = |planned: &Planned| {
            let Planned { entry, pattern, location: _, action, plan, integer, tied, chosen_dtype } = planned;
            format!("{entry:?} {pattern:?} {action:?} {plan:?} {integer:?} {tied:?} {chosen_dtype:?}")
        };
        planned.iter().map(of).collect()
    };
    assert_eq!(described(&planned), described(&again), "{flat}");
});
