//! Tests of the scheme `copy` in recipes: a larger vocabulary, experts from a dense MLP, a deeper model, and invalid
//! copies.

mod fixture;

use std::collections::BTreeMap;

use fixture::{Fixture, floats};
use safetensors::SafeTensors;
use serde_json::json;

/// Writes the checkpoint `old.safetensors` with random values, and the manifest `new.json`. `old` and `new` are the
/// manifests of the two models.
fn models(old: serde_json::Value, new: serde_json::Value) -> Fixture {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("old.json"), old.to_string()).unwrap();
    std::fs::write(fixture.path("new.json"), new.to_string()).unwrap();
    std::fs::write(fixture.path("old.toml"), "[init]\n\"*\" = \"normal(mean=0.5, std=2)\"\n").unwrap();
    fixture.good(&["init", "old.toml", "--like", "old.json", "-q", "-o", "old.safetensors"]);
    fixture
}

/// Returns the entry of an f32 tensor in a manifest.
fn tensor(shape: &[usize]) -> serde_json::Value {
    json!({ "dtype": "F32", "shape": shape })
}

/// Runs `fanin init` with a recipe that copies from `old.safetensors`. `more` are further arguments. Returns the values
/// of each tensor of the new model.
fn made(fixture: &Fixture, recipe: &str, more: &[&str]) -> BTreeMap<String, Vec<f32>> {
    std::fs::write(fixture.path("new.toml"), recipe).unwrap();
    let init = ["init", "new.toml", "--like", "new.json", "--copy-from", "old.safetensors", "--force", "-q"];
    fixture.good(&[&init[..], &["-o", "new.safetensors"], more].concat());
    all(fixture, "new.safetensors")
}

/// Returns the values of each tensor of a checkpoint of f32 tensors.
fn all(fixture: &Fixture, file: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = fixture.bytes(file);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|(name, tensor)| (name.to_owned(), floats(tensor.data()))).collect()
}

#[test]
fn a_larger_vocabulary_keeps_the_old_rows() {
    let old =
        json!({ "embed.weight": tensor(&[50, 8]), "head.bias": tensor(&[50]), "fc.weight": tensor(&[8, 8]) });
    let new =
        json!({ "embed.weight": tensor(&[57, 8]), "head.bias": tensor(&[57]), "fc.weight": tensor(&[8, 8]) });
    let fixture = models(old, new);
    let before = all(&fixture, "old.safetensors");
    let recipe = "[init]\n\"embed.*\" = \"copy(rest=normal(std=0.02))\"\n\"head.bias\" = \"copy(rest=zeros)\"\n\"*\" = \"copy\"\n";
    let after = made(&fixture, recipe, &[]);
    assert_eq!(after["fc.weight"], before["fc.weight"]);
    assert_eq!(after["embed.weight"][..400], before["embed.weight"]);
    assert_eq!(after["head.bias"][..50], before["head.bias"]);
    assert!(after["head.bias"][50..].iter().all(|x| *x == 0.0));
    // The new rows have the same values as in a tensor that is drawn without `copy`.
    std::fs::write(fixture.path("drawn.toml"), "[init]\n\"*\" = \"normal(std=0.02)\"\n").unwrap();
    fixture.good(&["init", "drawn.toml", "--like", "new.json", "-q", "-o", "drawn.safetensors"]);
    assert_eq!(after["embed.weight"][400..], all(&fixture, "drawn.safetensors")["embed.weight"][400..]);
    // Two processes together write the same file as one process.
    for part in ["1/2", "2/2"] {
        fixture.good(&[
            "init",
            "new.toml",
            "--like",
            "new.json",
            "--copy-from",
            "old.safetensors",
            "-q",
            "--max-shard-size",
            "1000",
            "--part",
            part,
            "-o",
            "parts",
        ]);
    }
    let parts: BTreeMap<String, Vec<f32>> = std::fs::read_dir(fixture.path("parts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".safetensors"))
        .flat_map(|name| all(&fixture, &format!("parts/{name}")))
        .collect();
    assert_eq!(parts, after);
}

#[test]
fn mean_resizing_gives_new_rows_the_mean_and_a_multiple_of_the_covariance_of_the_old_rows() {
    let old = json!({ "embed.weight": tensor(&[400, 6]), "head.bias": tensor(&[400]) });
    let new = json!({ "embed.weight": tensor(&[3400, 6]), "head.bias": tensor(&[3400]) });
    let fixture = models(old, new);
    let before = all(&fixture, "old.safetensors");
    let after = made(&fixture, "[init]\n\"*\" = \"copy(rest=mean_resizing)\"\n", &[]);
    for (name, width) in [("embed.weight", 6), ("head.bias", 1)] {
        let (old, all) = (&before[name], &after[name]);
        assert_eq!(all[..old.len()], old[..]);
        let new = &all[old.len()..];
        let moments = |rows: &[f32], a: usize, b: usize| {
            let rows: Vec<&[f32]> = rows.chunks(width).collect();
            let n = rows.len() as f64;
            let mean = |c: usize| rows.iter().map(|row| f64::from(row[c])).sum::<f64>() / n;
            let (ma, mb) = (mean(a), mean(b));
            let sum: f64 = rows.iter().map(|row| (f64::from(row[a]) - ma) * (f64::from(row[b]) - mb)).sum();
            (ma, sum / n)
        };
        for a in 0..width {
            for b in 0..width {
                let ((mean, covariance), (new_mean, new_covariance)) =
                    (moments(old, a, b), moments(new, a, b));
                // The standard error of the covariance of 3,000 rows is about 2 % of the variances, which are near 4.
                assert!((new_mean - mean).abs() < 1e-5, "{name} {a}: {new_mean}, expected {mean}");
                let error = (new_covariance * 1e9 - covariance).abs();
                assert!(error < 0.6, "{name} {a} {b}: {new_covariance:e}, expected {covariance} * 1e-9");
            }
        }
    }
}

#[test]
fn experts_are_copies_of_a_dense_mlp() {
    let old = json!({ "layers.0.mlp.up.weight": tensor(&[6, 4]), "layers.1.mlp.up.weight": tensor(&[6, 4]) });
    let new = json!({
        "layers.0.experts.0.up.weight": tensor(&[6, 4]), "layers.0.experts.1.up.weight": tensor(&[6, 4]),
        "layers.1.experts.up": tensor(&[3, 6, 4]), "layers.1.router.weight": tensor(&[3, 4]),
    });
    let fixture = models(old, new);
    let before = all(&fixture, "old.safetensors");
    let recipe = "[init]\n\"layers.*.experts.{0..7}.*\" = \"copy(from='layers.$1.mlp.$3')\"\n\
                  \"layers.*.experts.*\" = \"copy(from='layers.$1.mlp.$2.weight')\"\n\
                  \"*.router.weight\" = \"normal(std=0.02)\"\n";
    let after = made(&fixture, recipe, &["--stream", "torch"]);
    assert_eq!(after["layers.0.experts.0.up.weight"], before["layers.0.mlp.up.weight"]);
    assert_eq!(after["layers.0.experts.1.up.weight"], before["layers.0.mlp.up.weight"]);
    assert_eq!(after["layers.1.experts.up"], before["layers.1.mlp.up.weight"].repeat(3));
}

#[test]
fn a_deeper_model_repeats_layers_by_a_map() {
    let layer = |n: usize| (format!("model.layers.{n}.w"), tensor(&[4]));
    let old: serde_json::Map<String, serde_json::Value> = (0..4).map(layer).collect();
    let new: serde_json::Map<String, serde_json::Value> = (0..6).map(layer).collect();
    let fixture = models(old.into(), new.into());
    let before = all(&fixture, "old.safetensors");
    let recipe = "[init]\n\"model.layers.{0..2}.*\" = \"copy\"\n\
                  \"model.layers.{3..5}.*\" = \"copy(from='model.layers.{layer-2}.$2')\"\n";
    let after = made(&fixture, recipe, &[]);
    for (new, old) in [0, 1, 2, 1, 2, 3].into_iter().enumerate() {
        assert_eq!(after[&format!("model.layers.{new}.w")], before[&format!("model.layers.{old}.w")]);
    }
    // Each layer is copied twice.
    let doubled = "[init]\n\"*\" = \"copy(from='model.layers.{floor(layer/2)}.w')\"\n";
    let after = made(&fixture, doubled, &[]);
    assert_eq!(after["model.layers.5.w"], before["model.layers.2.w"]);
}

#[test]
fn a_copy_that_does_not_fit_is_an_error_before_anything_is_written() {
    let old = json!({ "w": tensor(&[5, 4]), "v": tensor(&[9]) });
    let new = json!({ "w": tensor(&[7, 4]), "v": tensor(&[8]), "x": tensor(&[7, 5]) });
    let fixture = models(old, new);
    let refused = |recipe: &str, more: &[&str], needles: &[&str]| {
        std::fs::write(fixture.path("new.toml"), format!("[init]\n{recipe}\n\"*\" = \"zeros\"\n")).unwrap();
        let init = ["init", "new.toml", "--like", "new.json", "-o", "x.safetensors"];
        fixture.refused(&[&init[..], more].concat(), needles)
    };
    let from = ["--copy-from", "old.safetensors"];
    refused(
        "w = \"copy\"",
        &from,
        &["new.toml:2:5: ", "w is [5, 4] in old.safetensors, and [7, 4] here", "copy(rest="],
    );
    refused("v = \"copy(rest=zeros)\"", &from, &["v is [9]", "not smaller along any axis"]);
    refused("w = \"copy(from=u)\"", &from, &["has no tensor \"u\" to copy"]);
    refused("w = \"copy(from='$1', rest=zeros)\"", &from, &["$1 is not one of the 0 wildcards"]);
    refused("w = \"copy(from='{1/2}')\"", &from, &["must be a whole number"]);
    refused("w = \"copy(from='{n}')\"", &from, &["n is neither a number nor a variable"]);
    refused("x = \"copy(from=w, rest=mean_resizing)\"", &from, &["mean_resizing adds rows only"]);
    refused("w = \"copy(rest=normal(std=-1))\"", &from, &["std = -1"]);
    refused("w = \"copy(rest=nrmal)\"", &from, &["did you mean normal?"]);
    refused("w = \"copy(rset=normal)\"", &from, &["copy has no argument \"rset\""]);
    refused("w = \"copy(rest=normal\"", &from, &["copy(...) is not closed"]);
    let torch = ["--copy-from", "old.safetensors", "--stream", "torch"];
    refused("w = \"copy(rest=normal)\"", &torch, &["use the native stream"]);
    refused("w = \"zeros\"", &from, &["copies no tensor from this file"]);
    refused("w = \"copy(rest=normal)\"", &[], &["no values to copy"]);
}
