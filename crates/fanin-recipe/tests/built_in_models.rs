//! Tests of the recipes and manifests of the built-in models.

use fanin_recipe::{Error, MODELS, Model, Recipe};

#[test]
fn every_recipe_plans_every_tensor_of_its_manifest() {
    for model in MODELS {
        let manifest = model.manifest();
        let recipe = Recipe::built_in(model).unwrap();
        let planned = recipe.plan(&manifest, &[]).unwrap();
        assert_eq!(planned.len(), manifest.entries.len(), "{}", model.name);
        assert!(model.citation().len() > 20, "{}", model.name);
        assert!(manifest.metadata("loads_in").is_some());
    }
}

#[test]
fn the_recipe_of_gpt2_plans_the_values_of_the_paper() {
    let model = Model::require("gpt2").unwrap();
    let manifest = model.manifest();
    assert_eq!((manifest.entries.len(), manifest.values()), (148, 124_439_808));
    let recipe = Recipe::built_in(model).unwrap();
    let planned = recipe.plan(&manifest, &[]).unwrap();
    let std = |end: &str| {
        planned.iter().find(|p| p.entry.name.ends_with(end)).unwrap().plan.as_ref().unwrap().std()
    };
    assert_eq!(std("h.3.attn.c_proj.weight"), 0.02 / 24f64.sqrt());
    assert_eq!(std("h.3.attn.c_attn.weight"), 0.02);
    let xl = Model::require("gpt2-xl").unwrap().manifest();
    let planned = recipe.plan(&xl, &[]).unwrap();
    let projection = planned.iter().find(|p| p.entry.name.ends_with("h.47.mlp.c_proj.weight")).unwrap();
    assert_eq!(projection.plan.as_ref().unwrap().std(), 0.02 / 96f64.sqrt(), "gpt2-xl has 48 layers");
}

#[test]
fn the_error_for_a_misspelled_model_name_suggests_a_name() {
    let error = Model::require("gtp2").unwrap_err().to_string();
    assert!(error.ends_with("did you mean gpt2?"), "{error}");
    assert!(matches!(Model::require("unheard-of"), Err(Error::UnknownModel { suggestion: None, .. })));
}
