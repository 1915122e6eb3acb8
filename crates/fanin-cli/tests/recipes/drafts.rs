//! Tests of the recipes that fanin drafts for built-in, large and unusual models.

use std::path::Path;

use fanin_recipe::recipe::draft::{self, DraftedModel};
use fanin_recipe::{Manifest, Recipe};
use serde_json::Value;

use crate::common::{ODD, checkpoint, gpt2_manifest};
use crate::fixture::Fixture;

#[test]
fn a_recipe_for_100_000_tensors_takes_seconds() {
    let fixture = Fixture::new();
    // Drafting and applying a recipe would take minutes if each name were compared with all other names.
    let names: [fn(usize) -> String; 2] =
        [|number| format!("t{number}"), |number| format!("h.{number}.{}", ["weight", "bias"][number % 2])];
    for name in names {
        let tensor = |number| format!("{:?}:{{\"dtype\":\"F32\",\"shape\":[0]}}", name(number));
        let all: Vec<String> = (0..100_000).map(tensor).collect();
        std::fs::write(fixture.path("many.json"), format!("{{{}}}", all.join(","))).unwrap();
        let draft = fixture.good(&["recipe", "many.json"]).stdout;
        assert!(draft.lines().count() < 30, "{draft}");
        std::fs::write(fixture.path("draft.toml"), draft).unwrap();
        fixture.good(&[
            "init",
            "draft.toml",
            "--like",
            "many.json",
            "-q",
            "--force",
            "-o",
            "many.safetensors",
        ]);
        std::fs::write(fixture.path("copy.toml"), "[init]\n\"*\" = \"copy\"").unwrap();
        fixture.good(&[
            "init",
            "copy.toml",
            "--like",
            "many.safetensors",
            "-q",
            "--force",
            "-o",
            "copy.safetensors",
        ]);
        let tensors = Manifest::read(&fixture.path("copy.safetensors")).unwrap().entries.len();
        assert_eq!(tensors, 100_000);
    }
}

/// Manifests of models with unusual names and shapes.
const ODD_MODELS: [&str; 8] = [
    r#"{"a": {"dtype": "F32", "shape": []}}"#,
    r#"{"0.weight": {"dtype": "F32", "shape": [8, 4]}, "0.bias": {"dtype": "F32", "shape": [8]}, "2.weight": {"dtype": "F32", "shape": [4, 8]}, "1.weight": {"dtype": "F32", "shape": [8]}}"#,
    r#"{"w[0]": {"dtype": "F32", "shape": [2, 2]}, "w*": {"dtype": "F32", "shape": [2]}, "w{a,b}": {"dtype": "BF16", "shape": [2]}, "a\\b": {"dtype": "F32", "shape": [3, 3]}, "a\nb": {"dtype": "F32", "shape": [3]}, "\"q\"": {"dtype": "F16", "shape": [1]}, "": {"dtype": "F32", "shape": [1]}, "é.weight": {"dtype": "F32", "shape": [2, 2]}, ".": {"dtype": "F32", "shape": [2]}, "]": {"dtype": "F32", "shape": [2, 3]}, "!": {"dtype": "F32", "shape": [9]}}"#,
    r#"{"lstm.weight_ih_l0": {"dtype": "F32", "shape": [32, 8]}, "lstm.weight_hh_l0": {"dtype": "F32", "shape": [32, 8]}, "lstm.bias_ih_l0": {"dtype": "F32", "shape": [32]}, "embed.weight": {"dtype": "F32", "shape": [50, 8]}, "fc.weight": {"dtype": "F32", "shape": [50, 8]}}"#,
    r#"{"q.weight": {"dtype": "I8", "shape": [8, 8]}, "q.scale": {"dtype": "F8_E4M3", "shape": [8]}, "steps": {"dtype": "U64", "shape": [1]}, "position_ids": {"dtype": "I8", "shape": [1, 500]}, "flag": {"dtype": "BOOL", "shape": []}, "z": {"dtype": "C64", "shape": [2]}}"#,
    r#"{"up.weight": {"dtype": "F32", "shape": [8, 4, 2, 2]}, "dw.weight": {"dtype": "F32", "shape": [8, 1, 3, 3]}, "deep.weight": {"dtype": "F32", "shape": [1, 2, 1, 2, 1, 2, 1]}, "none.weight": {"dtype": "F32", "shape": [0, 4]}, "none.bias": {"dtype": "F32", "shape": [0]}}"#,
    r#"{"Dense_0.kernel": {"dtype": "F32", "shape": [8, 4]}, "Conv_0.kernel": {"dtype": "F32", "shape": [3, 3, 4, 8]}, "LayerNorm_0.scale": {"dtype": "F32", "shape": [4]}, "BatchNorm_0.mean": {"dtype": "F32", "shape": [4]}}"#,
    r#"{"m.layers.0.attn.q_proj.weight": {"dtype": "F32", "shape": [8, 8]}, "m.layers.0.attn.q_proj.lora_A.weight": {"dtype": "F32", "shape": [2, 8]}, "m.layers.0.attn.q_proj.lora_B.weight": {"dtype": "F32", "shape": [8, 2]}, "m.layers.0.experts.w1": {"dtype": "F32", "shape": [4, 8, 8]}, "m.layers.0.ls1.gamma": {"dtype": "F32", "shape": [8]}, "cls_token": {"dtype": "F32", "shape": [1, 1, 8]}, "logit_scale": {"dtype": "F32", "shape": []}}"#,
];

#[test]
fn drafts_parse_cover_all_tensors_and_have_no_unused_rule() {
    let fixture = Fixture::new();
    // `plan_with_dtype` returns an error if a tensor has no rule or a rule has no tensor.
    let check = |name: &str, manifest: &Manifest| {
        for offsets in [None, Some((0, 0))] {
            let mut manifest = manifest.clone();
            manifest.entries.iter_mut().for_each(|entry| entry.offsets = offsets);
            let manifest = &manifest;
            let model = DraftedModel { manifest, config: None, file: name, notes: &[] };
            let text = draft::draft(&model).unwrap_or_else(|error| panic!("{name}: {error}"));
            let planned = Recipe::parse(&text, Path::new("draft.toml"))
                .and_then(|recipe| recipe.plan_with_dtype(manifest, &[], None));
            assert_eq!(
                planned.unwrap_or_else(|error| panic!("{error}\n{text}")).len(),
                manifest.entries.len()
            );
            // The line above each rule is a comment that gives the reason for the rule.
            let lines: Vec<&str> = text.lines().collect();
            let rules = lines.windows(2).filter(|pair| pair[1].starts_with('"'));
            assert!(rules.into_iter().all(|pair| pair[0].starts_with("# ")), "{text}");
        }
    };
    for model in fanin_recipe::MODELS {
        check(model.name, &model.manifest());
    }
    for (number, json) in ODD_MODELS.iter().enumerate() {
        check(&format!("odd {number}"), &Manifest::from_json(json, Path::new("odd.json")).unwrap());
    }
    let draft = |model: &str| fixture.good(&["recipe", model]).stdout;
    // The draft for a built-in model uses the same schemes as the recipe of this model.
    let gpt2 = draft("gpt2");
    for needle in [
        "n_layer = { count = \"*h.*.attn.c_proj.weight\" }",
        "initializer_range = 0.02 # CHECK",
        "\"*.c_proj.weight\" = \"normal(std=initializer_range/sqrt(2*n_layer))\"",
        "\"*.bias\" = \"zeros\"",
        "\"*.ln_*.weight\" = \"ones\"",
        "h.{0..11}.attn.c_attn.weight [768, 2304]",
    ] {
        assert!(gpt2.contains(needle), "{needle}: {gpt2}");
    }
    let resnet = draft("resnet50");
    for needle in [
        "\"*.num_batches_tracked\" = \"zeros\"",
        "\"*.running_var\" = \"ones\"",
        "kaiming_normal(mode=fan_out",
        "\"fc.weight\" = \"normal(std=0.01)\"",
        "CHECK",
    ] {
        assert!(resnet.contains(needle), "{needle}: {resnet}");
    }
    std::fs::write(fixture.path("d.toml"), &gpt2).unwrap();
    fixture.good(
        &["init", "d.toml", "--like", "m.json", "--dry-run"]
            .map(|a| if a == "m.json" { gpt2_manifest(&fixture) } else { a }),
    );
    // fanin cannot draw values of some dtypes, such as C64. The draft copies such tensors from the checkpoint.
    std::fs::write(fixture.path("odd.safetensors"), checkpoint(&ODD)).unwrap();
    let odd = draft("odd.safetensors");
    assert!(
        odd.contains("\"phases\" = \"copy\"")
            && odd.contains("\"position_ids\" = \"arange\"")
            && odd.contains("# [tie]"),
        "{odd}"
    );
    std::fs::write(fixture.path("odd.toml"), odd).unwrap();
    fixture.good(&["init", "odd.toml", "--like", "odd.safetensors", "-o", "out.safetensors"]);
    fixture.refused(&["recipe", "missing.safetensors"], &["missing.safetensors"]);
    fixture.refused(&["recipe"], &["FILE"]);
    let schema: Value = serde_json::from_str(&fixture.good(&["recipe", "--schema"]).stdout).unwrap();
    assert!(schema["properties"]["init"].is_object());
}
