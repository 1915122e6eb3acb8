//! Tests that `verify --like` compares a checkpoint's names, shapes and types with those of a model.

use crate::common::{MANIFEST, fixture};
use crate::fixture::Fixture;

#[test]
fn verify_compares_names_shapes_and_types_with_the_model() {
    let fixture = fixture();
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(MANIFEST).unwrap();
    let like = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut manifest = whole.clone();
        change(&mut manifest);
        std::fs::write(fixture.path("other.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
        fixture.run(&["verify", "x.safetensors", "--recipe", "right.toml", "--like", "other.json"])
    };
    assert_eq!(like(&|_| ()).code, 0);
    let entry = |dtype: &str, shape: &[usize]| serde_json::json!({ "dtype": dtype, "shape": shape });
    let caught = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>), needles: &[&str]| {
        let ran = like(change);
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        let named = ran.stdout.lines().any(|line| needles.iter().all(|needle| line.contains(needle)));
        assert!(named, "{needles:?}: {}", ran.stdout);
    };
    caught(&|all| _ = all.insert("h.2.bias".into(), entry("F32", &[5])), &["h.2.bias", "missing", "F32 5"]);
    caught(&|all| _ = all.remove("h.1.attn.weight"), &["h.1.attn.weight", "extra"]);
    caught(
        &|all| _ = all.insert("h.0.rnn.weight".into(), entry("F32", &[96, 64])),
        &["h.0.rnn.weight", "shape", "transposed?"],
    );
    caught(
        &|all| _ = all.insert("h.0.trunc.weight".into(), entry("F32", &[512, 256])),
        &["trunc", "shape", "512 x 256"],
    );
    caught(
        &|all| _ = all.insert("h.0.trunc.weight".into(), entry("F16", &[256, 256])),
        &["trunc", "dtype", "F32"],
    );
    let ran =
        fixture.run(&["verify", "x.safetensors", "--recipe", "right.toml", "--like", "resnet50", "--json"]);
    assert_eq!(ran.code, 2, "the recipe does not fit: {}", ran.stdout);
    // A checkpoint can store all tensors in one floating-point dtype, here bf16. It then matches a model with other
    // floating-point dtypes.
    fixture.good(&["init", "right.toml", "--like", "shapes.json", "--dtype", "bf16", "-o", "b.safetensors"]);
    fixture.good(&["verify", "b.safetensors", "--recipe", "right.toml", "--like", "shapes.json"]);
}

#[test]
fn an_integer_tensor_in_a_file_of_another_floating_point_dtype_is_one_mismatch() {
    let fixture = Fixture::new();
    let manifest = |dtype: &str, first: &str| {
        format!(
            r#"{{"a": {{"dtype": "{first}", "shape": [4]}}, "b": {{"dtype": "{dtype}", "shape": [4]}}, "c": {{"dtype": "{dtype}", "shape": [4]}}}}"#
        )
    };
    std::fs::write(fixture.path("model.json"), manifest("F32", "F32")).unwrap();
    std::fs::write(fixture.path("file.json"), manifest("BF16", "I64")).unwrap();
    std::fs::write(fixture.path("zeros.toml"), "[init]\n\"*\" = \"zeros\"\n").unwrap();
    std::fs::write(fixture.path("file.toml"), "[init]\na = \"arange\"\n\"*\" = \"zeros\"\n").unwrap();
    fixture.good(&["init", "file.toml", "--like", "file.json", "-o", "i.safetensors"]);
    let ran = fixture.run(&["verify", "i.safetensors", "--recipe", "zeros.toml", "--like", "model.json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("stored as I64") && !ran.stdout.contains("stored as F32"), "{}", ran.stdout);
}

#[test]
fn with_a_built_in_recipe_verify_compares_with_the_built_in_model() {
    let fixture = Fixture::new();
    let text = fixture.good(&["models", "resnet50", "--manifest"]).stdout;
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let made = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let mut manifest = whole.clone();
        change(&mut manifest);
        std::fs::write(fixture.path("m.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
        fixture.good(&[
            "init",
            "resnet50",
            "--like",
            "m.json",
            "--dtype",
            "bf16",
            "--force",
            "-o",
            "y.safetensors",
        ]);
        fixture.run(&["verify", "y.safetensors", "--recipe", "resnet50"])
    };
    let ran = made(&|_| ());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = made(&|all| {
        all.remove("bn1.bias");
        all["fc.weight"]["shape"] = serde_json::json!([2048, 1000]);
    });
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    for (tensor, test) in [("bn1.bias", "missing"), ("fc.weight", "transposed?")] {
        let named = ran.stdout.lines().any(|line| line.contains(tensor) && line.contains(test));
        assert!(named, "{tensor}: {}", ran.stdout);
    }
    let warned = fixture.good(&["inspect", "y.safetensors", "--recipe", "resnet50"]).stderr;
    assert!(warned.contains("bn1.bias") && warned.contains("transposed?"), "{warned}");
    // --like selects the file that gives the expected names and shapes.
    fixture.good(&["verify", "y.safetensors", "--recipe", "resnet50", "--like", "m.json"]);
}
