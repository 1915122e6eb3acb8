//! Tests of `verify`, `audit` and `diff` with the binary. Correct files must pass, and each common bug must be
//! reported.

mod fixture;

use fixture::Fixture;

const MANIFEST: &str = r#"{
    "h.0.attn.weight": {"dtype": "F32", "shape": [384, 192]},
    "h.1.attn.weight": {"dtype": "BF16", "shape": [384, 192]},
    "h.0.c_proj.weight": {"dtype": "F32", "shape": [192, 384]},
    "h.0.trunc.weight": {"dtype": "F32", "shape": [256, 256]},
    "h.0.conv.weight": {"dtype": "F16", "shape": [64, 32, 3, 3]},
    "h.0.rnn.weight": {"dtype": "F32", "shape": [64, 96]},
    "h.0.map.weight": {"dtype": "F32", "shape": [64, 48]},
    "h.0.norm.weight": {"dtype": "BF16", "shape": [192]},
    "h.0.bias": {"dtype": "F32", "shape": [192]}}"#;

/// Returns the text of the correct recipe, in which the rules of `changes` replace the rules with the same patterns.
fn recipe(changes: &[(&str, &str)]) -> String {
    let mut text = "[init]\n".to_owned();
    for (pattern, spec) in [
        ("*.attn.weight", "normal(std=1/sqrt(fan_in))"),
        ("*.c_proj.weight", "normal(std=0.02/sqrt(2*12))"),
        ("*.trunc.weight", "trunc_normal(std=1/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))"),
        ("*.conv.weight", "kaiming_uniform(mode=fan_out, nonlinearity=relu)"),
        ("*.rnn.weight", "orthogonal"),
        ("*.map.weight", "sparse(sparsity=0.25, std=0.1)"),
        ("*.norm.weight", "ones"),
        ("*.bias", "zeros"),
    ] {
        let spec = changes.iter().find(|(changed, _)| *changed == pattern).map_or(spec, |(_, spec)| spec);
        text += &format!("\"{pattern}\" = \"{spec}\"\n");
    }
    text
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("right.toml"), recipe(&[])).unwrap();
    std::fs::write(fixture.path("shapes.json"), MANIFEST).unwrap();
    fixture.good(&["init", "right.toml", "--like", "shapes.json", "--seed", "3", "-o", "x.safetensors"]);
    fixture
}

/// Runs `verify` on `x.safetensors`. Asserts that the check fails, and that a line of the output contains both `tensor`
/// and `test`.
fn caught(fixture: &Fixture, more: &[&str], tensor: &str, test: &str) {
    let ran = fixture.run(&[&["verify", "x.safetensors", "--recipe", "right.toml"], more].concat());
    assert_eq!(ran.code, 1, "{tensor} {test}: {}{}", ran.stdout, ran.stderr);
    let named = ran.stdout.lines().any(|line| line.contains(tensor) && line.contains(test));
    assert!(named, "{tensor} {test}: {}", ran.stdout);
}

/// Returns the range of bytes of a tensor in the file `bytes`.
fn bytes_of(bytes: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offset = |n: usize| 8 + length + header[tensor]["data_offsets"][n].as_u64().unwrap() as usize;
    offset(0)..offset(1)
}

#[test]
fn correct_files_pass_with_and_without_a_seed() {
    let fixture = fixture();
    for seed in 0..12 {
        let seed = &seed.to_string();
        for stream in ["native", "torch"] {
            let from = ["--seed", seed, "--stream", stream];
            let make =
                ["init", "right.toml", "--like", "shapes.json", "--force", "-q", "-o", "y.safetensors"];
            fixture.good(&[&make[..], &from].concat());
            let verify = ["verify", "y.safetensors", "--recipe", "right.toml", "--alpha", "1e-6"];
            fixture.good(&verify);
            fixture.good(&[&verify[..], &from].concat());
        }
    }
}

#[test]
fn verify_reports_wrong_distributions() {
    let fixture = fixture();
    for (pattern, spec, tensor, test) in [
        // In these five cases, the std is 2 % too large, is 2 % too small, uses fan_out instead of fan_in, uses fan_in
        // instead of fan_out, or lacks the residual scaling of GPT-2.
        ("*.attn.weight", "normal(std=1.02/sqrt(fan_in))", "h.0.attn", "std"),
        ("*.attn.weight", "normal(std=0.98/sqrt(fan_in))", "h.1.attn", "std"),
        ("*.attn.weight", "normal(std=1/sqrt(fan_out))", "h.0.attn", "std"),
        ("*.conv.weight", "kaiming_uniform(nonlinearity=relu)", "h.0.conv", "bounds"),
        ("*.c_proj.weight", "normal(std=0.02)", "h.0.c_proj", "std"),
        // The variance is corrected for the truncation twice, so the standard deviation is 1.137 times too large.
        (
            "*.trunc.weight",
            "trunc_normal(std=1.137/sqrt(fan_in), a=-2.274/sqrt(fan_in), b=2.274/sqrt(fan_in))",
            "h.0.trunc",
            "bounds",
        ),
        // The std uses the fan_in of one of four shards instead of the fan_in of the whole tensor.
        (
            "*.trunc.weight",
            "trunc_normal(std=2/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))",
            "h.0.trunc",
            "std",
        ),
        // The distribution is truncated instead of normal, normal instead of truncated, or another distribution with
        // the same std.
        ("*.attn.weight", "trunc_normal(std=1/sqrt(192), a=-3/sqrt(192), b=3/sqrt(192))", "h.0.attn", "tail"),
        ("*.trunc.weight", "normal(std=0.8796/sqrt(fan_in))", "h.0.trunc", "bounds"),
        ("*.attn.weight", "uniform(a=-sqrt(3/192), b=sqrt(3/192))", "h.1.attn", "distribution"),
        ("*.attn.weight", "zeros", "h.0.attn", "std"),
        ("*.rnn.weight", "normal(std=1/sqrt(96))", "h.0.rnn", "orthogonal"),
        ("*.rnn.weight", "orthogonal(gain=1.01)", "h.0.rnn", "orthogonal"),
        ("*.map.weight", "sparse(sparsity=0.2, std=0.1)", "h.0.map", "zeros"),
        ("*.norm.weight", "constant(1.01)", "h.0.norm", "exact"),
    ] {
        std::fs::write(fixture.path("wrong.toml"), recipe(&[(pattern, spec)])).unwrap();
        let make = ["init", "wrong.toml", "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
        fixture.good(&make);
        caught(&fixture, &[], tensor, test);
    }
}

#[test]
fn verify_reports_damaged_values() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), test: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[bytes_of(&right, tensor)]);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        caught(&fixture, &[], tensor, test);
        caught(&fixture, &["--seed", "3"], tensor, "bits");
    };
    damaged("h.0.attn.weight", &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "finite");
    damaged("h.1.attn.weight", &|bytes| bytes.fill(0), "std");
    damaged("h.0.trunc.weight", &|bytes| bytes[..4].copy_from_slice(&9f32.to_le_bytes()), "bounds");
    damaged("h.0.c_proj.weight", &|bytes| bytes[..4].copy_from_slice(&0.1f32.to_le_bytes()), "outlier");
    damaged("h.0.bias", &|bytes| bytes[4..8].copy_from_slice(&1e-30f32.to_le_bytes()), "exact");
    // The values of one half of the rows, of one of four blocks of rows, or of one block of columns are repeated.
    damaged("h.0.attn.weight", &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2), "repeats");
    damaged("h.1.attn.weight", &|bytes| bytes.copy_within(192 * 192..288 * 192, 288 * 192), "repeats");
    damaged(
        "h.0.c_proj.weight",
        &|bytes| bytes.chunks_mut(384 * 4).for_each(|row| row.copy_within(..192 * 4, 192 * 4)),
        "repeats",
    );
    // The values are correct, but sorted.
    damaged(
        "h.0.c_proj.weight",
        &|bytes| {
            let values = bytes.as_chunks_mut::<4>().0;
            values.sort_by(|a, b| f32::from_le_bytes(*a).total_cmp(&f32::from_le_bytes(*b)));
        },
        "order",
    );
    // A row is zero. In the next case, one bit is flipped, which is detected only with the seed.
    damaged("h.0.trunc.weight", &|bytes| bytes[1024..2048].fill(0), "zeros");
    let mut bytes = right.clone();
    bytes[bytes_of(&right, "h.0.rnn.weight")][0] ^= 1;
    std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
    fixture.good(&["verify", "x.safetensors", "--recipe", "right.toml"]);
    caught(&fixture, &["--seed", "3"], "h.0.rnn.weight", "differ from the seed's: 1 of 6144");
}

#[test]
fn folders_and_indices_are_read_as_one_checkpoint() {
    let fixture = fixture();
    let folder = fixture.path("sharded");
    std::fs::create_dir(&folder).unwrap();
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(MANIFEST).unwrap();
    let mut map = serde_json::Map::new();
    for (number, name) in whole.keys().enumerate() {
        let file = format!("model-{}-of-2.safetensors", 1 + number / 5);
        map.insert(name.clone(), file.into());
    }
    for number in 1..=2 {
        let file = format!("model-{number}-of-2.safetensors");
        let part: serde_json::Map<_, _> = whole
            .iter()
            .filter(|(name, _)| map[*name] == file)
            .map(|(n, e)| (n.clone(), e.clone()))
            .collect();
        std::fs::write(fixture.path("part.json"), serde_json::to_string(&part).unwrap()).unwrap();
        let rules: String = recipe(&[])
            .lines()
            .filter(|line| {
                let kind = line.trim_start_matches("\"*").split('"').next().unwrap_or("");
                line.starts_with('[') || part.keys().any(|name| name.ends_with(kind))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(fixture.path("part.toml"), rules).unwrap();
        let out = format!("sharded/{file}");
        fixture.good(&["init", "part.toml", "--like", "part.json", "--seed", "3", "-o", &out]);
    }
    let index = |map: &serde_json::Map<String, serde_json::Value>| {
        let text = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
        std::fs::write(folder.join("model.safetensors.index.json"), text).unwrap();
    };
    for step in ["without an index", "with one"] {
        for path in ["sharded", "sharded/model.safetensors.index.json"] {
            if step == "without an index" && path != "sharded" {
                continue;
            }
            fixture.good(&["diff", path, "x.safetensors"]);
            fixture.good(&["verify", path, "--recipe", "right.toml", "--seed", "3"]);
            fixture.good(&["inspect", path]);
        }
        index(&map);
    }
    map.insert("missing".into(), "model-1-of-2.safetensors".into());
    index(&map);
    fixture.refused(&["inspect", "sharded"], &["\"missing\"", "does not have the tensor"]);
    map["missing"] = "../elsewhere.safetensors".into();
    index(&map);
    fixture.refused(&["inspect", "sharded"], &["../elsewhere.safetensors", "in the folder of their index"]);
}

#[test]
fn diff_names_the_tensors_that_differ() {
    let fixture = fixture();
    let ran = fixture.good(&["diff", "x.safetensors", "x.safetensors"]);
    assert!(ran.stdout.contains("9 tensors identical, 0 different"), "{}", ran.stdout);
    let mut bytes = fixture.bytes("x.safetensors");
    let at = bytes_of(&bytes, "h.0.bias");
    bytes[at][..4].copy_from_slice(&0.5f32.to_le_bytes());
    std::fs::write(fixture.path("y.safetensors"), &bytes).unwrap();
    let ran = fixture.run(&["diff", "x.safetensors", "y.safetensors", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, found["identical"].as_u64()), (1, Some(8)));
    let tensor = &found["tensors"][0];
    assert_eq!((tensor["what"].as_str(), tensor["name"].as_str()), (Some("changed"), Some("h.0.bias")));
    assert_eq!((tensor["max"].as_f64(), tensor["values_changed"].as_u64()), (Some(0.5), Some(1)));
    let other = r#"{"h.0.bias": {"dtype": "F16", "shape": [192]}, "h.0.norm.weight": {"dtype": "BF16", "shape": [96, 2]},
                    "new.bias": {"dtype": "F32", "shape": [2]}}"#;
    std::fs::write(fixture.path("o.json"), other).unwrap();
    std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"zeros\"\n").unwrap();
    fixture.good(&["init", "o.toml", "--like", "o.json", "-o", "o.safetensors"]);
    let ran = fixture.run(&["diff", "x.safetensors", "o.safetensors"]);
    assert_eq!(ran.code, 1);
    for (what, name) in [
        ("removed", "h.0.attn.weight"),
        ("retyped", "h.0.bias"),
        ("reshaped", "h.0.norm"),
        ("added", "new.bias"),
    ] {
        assert!(
            ran.stdout.lines().any(|l| l.starts_with(what) && l.contains(name)),
            "{what}: {}",
            ran.stdout
        );
    }
}

#[test]
fn audit_recognizes_distributions_and_reports_damage() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let audit = |code: i32| -> serde_json::Value {
        let ran = fixture.run(&["audit", "x.safetensors", "--json"]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let of = |report: &serde_json::Value, name: &str| -> serde_json::Value {
        let tensors = report["tensors"].as_array().unwrap();
        tensors.iter().find(|tensor| tensor["name"] == name).unwrap().clone()
    };
    let report = audit(0);
    for (name, kind, distribution) in [
        ("h.0.attn.weight", "fresh", "normal(std="),
        ("h.1.attn.weight", "fresh", "normal(std="),
        ("h.0.trunc.weight", "fresh", "trunc_normal(std="),
        ("h.0.conv.weight", "fresh", "uniform(a="),
        ("h.0.rnn.weight", "orthogonal", "orthogonal(gain="),
        ("h.0.norm.weight", "constant", "1"),
        ("h.0.bias", "constant", "0"),
    ] {
        let found = of(&report, name);
        assert_eq!(found["kind"], kind, "{found}");
        assert!(found["distribution"].as_str().unwrap().starts_with(distribution), "{found}");
    }
    let scheme = of(&report, "h.0.conv.weight")["schemes"].to_string();
    assert!(scheme.contains("mode=fan_out, nonlinearity=relu"), "{scheme}");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), needle: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[bytes_of(&right, tensor)]);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        let problems = of(&audit(1), tensor)["problems"].to_string();
        assert!(problems.contains(needle), "{tensor} {needle}: {problems}");
    };
    let tensor = "h.0.attn.weight";
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "NaN");
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&9f32.to_le_bytes()), "outliers");
    damaged(
        tensor,
        &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2),
        "a range of values occurs twice",
    );
    damaged(tensor, &|bytes| bytes[..96 * 192 * 4].fill(0), "96 of 384 rows are all zeros");
    damaged(tensor, &|bytes| bytes[..40_000].fill(1), "uninitialized memory");
    damaged(
        tensor,
        &|bytes| {
            bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|b| {
                *b = f32::from_le_bytes(*b).clamp(-0.1, 0.1).to_le_bytes();
            });
        },
        "clamped?",
    );
}

/// Writes a checkpoint of F32 tensors to the file `name`.
fn save(fixture: &Fixture, name: &str, tensors: &[(&str, &[usize], Vec<f32>)]) {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (tensor, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert((*tensor).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    std::fs::write(fixture.path(name), bytes).unwrap();
}

/// Returns the values of an F32 tensor in `x.safetensors`.
fn values(fixture: &Fixture, tensor: &str) -> Vec<f32> {
    let bytes = fixture.bytes("x.safetensors");
    fixture::floats(&bytes[bytes_of(&bytes, tensor)])
}

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
    // A checkpoint in another dtype matches the model if all of its tensors have this dtype.
    fixture.good(&["init", "right.toml", "--like", "shapes.json", "--dtype", "bf16", "-o", "b.safetensors"]);
    fixture.good(&["verify", "b.safetensors", "--recipe", "right.toml", "--like", "shapes.json"]);
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

#[test]
fn verify_compares_the_sign_of_zero_and_suggests_the_recorded_stream_and_seed() {
    let fixture = fixture();
    let bytes = fixture.bytes("x.safetensors");
    let mut wrong = bytes.clone();
    wrong[bytes_of(&bytes, "h.0.bias")][3] = 0x80;
    std::fs::write(fixture.path("x.safetensors"), wrong).unwrap();
    caught(&fixture, &["--seed", "3"], "h.0.bias", "bits");
    let make = ["init", "right.toml", "--like", "shapes.json", "--seed", "5", "--stream", "torch"];
    fixture.good(&[&make[..], &["-o", "t.safetensors"]].concat());
    let hint = "the file's metadata has stream torch and seed 5: try --stream torch --seed 5";
    for more in [&["--seed", "5"][..], &["--seed", "6", "--stream", "torch"]] {
        let ran = fixture.run(&[&["verify", "t.safetensors", "--recipe", "right.toml"], more].concat());
        assert!(ran.code == 1 && ran.stdout.contains(hint), "{}", ran.stdout);
    }
    let ran = fixture.run(&["verify", "x.safetensors", "--recipe", "right.toml", "--seed", "3"]);
    assert!(!ran.stdout.contains("the file's metadata"), "{}", ran.stdout);
}

#[test]
fn verify_reports_orthogonal_matrices_that_are_not_random() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"orthogonal\"\n").unwrap();
    let drawn = |shape: [usize; 2], seed: usize| {
        let manifest = serde_json::json!({ "q": { "dtype": "F32", "shape": shape } });
        std::fs::write(fixture.path("o.json"), manifest.to_string()).unwrap();
        let seed = seed.to_string();
        fixture.good(&[
            "init",
            "o.toml",
            "--like",
            "o.json",
            "--seed",
            &seed,
            "--force",
            "-o",
            "x.safetensors",
        ]);
        values(&fixture, "q")
    };
    let caught = |shape: [usize; 2], wrong: Vec<f32>, test: &str| {
        save(&fixture, "x.safetensors", &[("q", &shape, wrong)]);
        let ran = fixture.run(&["verify", "x.safetensors", "--recipe", "o.toml"]);
        let named = ran.stdout.lines().any(|line| line.contains(test));
        assert!(ran.code == 1 && named, "{test}: {}", ran.stdout);
        assert!(!ran.stdout.contains("not orthogonal"), "{}", ran.stdout);
    };
    // The matrix is block-diagonal, and then rotated by a small angle, so that no entry is exactly zero.
    let (n, half) = (128, 64);
    let blocks = [drawn([half, half], 1), drawn([half, half], 2)];
    let mut wrong = vec![0f32; n * n];
    for (b, block) in blocks.iter().enumerate() {
        for (k, x) in block.iter().enumerate() {
            wrong[(b * half + k / half) * n + b * half + k % half] = *x;
        }
    }
    caught([n, n], wrong.clone(), "exactly 0");
    let rotate = |wrong: &mut [f32], angle: f32| {
        for k in 0..half {
            for column in 0..n {
                let (a, b) = (wrong[k * n + column], wrong[(k + half) * n + column]);
                wrong[k * n + column] = angle.cos() * a - angle.sin() * b;
                wrong[(k + half) * n + column] = angle.sin() * a + angle.cos() * b;
            }
        }
    };
    rotate(&mut wrong, 0.01);
    caught([n, n], wrong, "mean absolute entry");
    // A permutation matrix is rotated by a small angle.
    let mut wrong = vec![0f32; n * n];
    (0..n).for_each(|row| wrong[row * n + (row * 37 + 5) % n] = 1.0);
    rotate(&mut wrong, 0.001);
    caught([n, n], wrong, "largest absolute entry");
}

#[test]
fn random_orthogonal_matrices_pass() {
    let fixture = Fixture::new();
    let mut manifest = serde_json::Map::new();
    for (rows, columns) in [(1, 1), (2, 2), (1, 9), (3, 3), (8, 5), (16, 16), (64, 96), (150, 40), (128, 128)]
    {
        for dtype in ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"] {
            let entry = serde_json::json!({ "dtype": dtype, "shape": [rows, columns] });
            manifest.insert(format!("{rows}.{columns}.{dtype}"), entry);
        }
    }
    std::fs::write(fixture.path("o.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    std::fs::write(fixture.path("o.toml"), "[init]\n\"*\" = \"orthogonal(gain=1.4)\"\n").unwrap();
    for seed in 0..10 {
        for stream in ["native", "torch"] {
            let from = ["--seed", &seed.to_string(), "--stream", stream];
            let make = ["init", "o.toml", "--like", "o.json", "--force", "-q", "-o", "y.safetensors"];
            fixture.good(&[&make[..], &from].concat());
            let ran = fixture.run(&["verify", "y.safetensors", "--recipe", "o.toml", "--alpha", "1e-6"]);
            assert_eq!(ran.code, 0, "{seed} {stream}: {}", ran.stdout);
        }
    }
}

#[test]
fn verify_reports_short_repeated_ranges() {
    let fixture = fixture();
    let right = fixture.bytes("x.safetensors");
    let at = bytes_of(&right, "h.0.attn.weight");
    for (from, to, length) in [(192 * 17, 192 * 300, 192), (1001, 50_003, 100), (5, 30_000, 30_000)] {
        let mut bytes = right.clone();
        bytes[at.clone()].copy_within(from * 4..(from + length) * 4, to * 4);
        std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
        caught(&fixture, &[], "h.0.attn.weight", "repeats");
        let ran = fixture.run(&["audit", "x.safetensors"]);
        assert!(ran.code == 1 && ran.stdout.contains("occurs twice"), "{length}: {}", ran.stdout);
    }
}

#[test]
fn audit_recognizes_computed_tables_and_reports_unwritten_memory() {
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let rows = |count: usize, row: &[f32]| row.repeat(count);
    let steps: Vec<f32> = (1..=16).map(|n| (n as f32).ln()).collect();
    let sines: Vec<f32> = (0..1500 * 64)
        .map(|k| {
            let (position, column) = ((k / 64) as f64, k % 64);
            let angle = position * (-(10_000f64.ln()) * (column % 32) as f64 / 31.0).exp();
            (if column < 32 { angle.sin() } else { angle.cos() }) as f32
        })
        .collect();
    let sparse: Vec<f32> = noise[..96 * 96]
        .iter()
        .enumerate()
        .map(|(k, x)| if (k * 7 + k / 96 * 3) % 2 == 0 { 0.0 } else { x * 0.01 * 192f32.sqrt() })
        .collect();
    let gain: Vec<f32> = noise[20_000..26_000].iter().map(|x| 1.0 + x * 0.01 * 192f32.sqrt()).collect();
    let good: [(&str, &[usize], Vec<f32>); 7] = [
        ("h.0.A_log", &[384, 16], rows(384, &steps)),
        ("h.1.A_log", &[384, 16], rows(384, &steps)),
        ("few.A_log", &[3, 16], rows(3, &steps)),
        ("positions", &[1500, 64], sines),
        ("head", &[8, 64], vec![0.0; 512]),
        ("sparse", &[96, 96], sparse),
        ("gain", &[6000], gain),
    ];
    save(&fixture, "y.safetensors", &good);
    let ran = fixture.run(&["audit", "y.safetensors", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for (number, member, needle) in [
        (0, "kind", "table"),
        (1, "distribution", "every row the same"),
        (2, "kind", "table"),
        (3, "distribution", "sines and cosines"),
        (4, "notes", "never written"),
        (5, "distribution", "sparse(sparsity=0.50, std="),
        (5, "schemes", "sparse(sparsity=0.50, std=0.01)"),
        (6, "schemes", "normal(mean=1, std=0.01)"),
    ] {
        let found = report["tensors"][number][member].to_string();
        assert!(found.contains(needle), "{needle}: {}", report["tensors"][number]);
    }
    for (wrong, needle) in [
        (vec![1.4e-45; 512], "uninitialized memory"),
        (vec![f32::INFINITY; 512], "overflow"),
        (rows(8, &noise[..64]), "every row is the same"),
    ] {
        save(&fixture, "y.safetensors", &[("w", &[8, 64], wrong)]);
        let ran = fixture.run(&["audit", "y.safetensors"]);
        assert!(ran.code == 1 && ran.stdout.contains(needle), "{needle}: {}", ran.stdout);
    }
}

/// Writes a checkpoint of one tensor to `z.safetensors`. `values` are the bytes of its values.
fn save_one(fixture: &Fixture, dtype: &str, shape: &[u64], values: &[u8]) {
    let entry =
        serde_json::json!({ "w": { "dtype": dtype, "shape": shape, "data_offsets": [0, values.len()] } });
    let header = entry.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat();
    std::fs::write(fixture.path("z.safetensors"), bytes).unwrap();
}

#[test]
fn tensors_without_values_can_have_any_shape() {
    let fixture = fixture();
    std::fs::write(fixture.path("z.toml"), "[init]\n\"*\" = \"normal\"\n").unwrap();
    for shape in [&[1u64 << 31, 0][..], &[1 << 60, 0], &[0, 1 << 60], &[1 << 20, 0, 1 << 40]] {
        save_one(&fixture, "F32", shape, &[]);
        let report: serde_json::Value =
            serde_json::from_str(&fixture.good(&["audit", "z.safetensors", "--json"]).stdout).unwrap();
        assert_eq!(report["tensors"][0]["kind"], "empty", "{shape:?}");
        fixture.good(&["inspect", "z.safetensors", "--json"]);
        fixture.good(&["verify", "z.safetensors", "--recipe", "z.toml", "--seed", "1"]);
    }
}

#[test]
fn tensors_of_types_that_fanin_cannot_read_have_no_statistics() {
    let fixture = fixture();
    for (dtype, bytes) in [("C64", 16), ("F8_E8M0", 2), ("F4", 1)] {
        save_one(&fixture, dtype, &[2], &vec![0x81; bytes]);
        let measured = |command: &str| -> serde_json::Value {
            let ran = fixture.good(&[command, "z.safetensors", "--json"]);
            let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            report["tensors"][0].clone()
        };
        let (inspected, audited) = (measured("inspect")["measured"].clone(), measured("audit"));
        for member in ["mean", "std", "min", "max", "zeros", "nans", "infinite"] {
            assert!(inspected[member].is_null(), "{dtype} {member}: {inspected}");
        }
        for member in ["mean", "std", "zeros"] {
            assert!(audited[member].is_null(), "{dtype} {member}: {audited}");
        }
        let table = fixture.good(&["inspect", "z.safetensors"]).stdout;
        let row = table.lines().find(|line| line.starts_with("w ")).expect("a row");
        assert!(!row.contains(" 0 ") && row.matches(" - ").count() >= 5, "{dtype}: {table}");
    }
    save_one(&fixture, "I64", &[2], &[1; 16]);
    let table = fixture.good(&["audit", "z.safetensors"]).stdout;
    assert!(table.lines().any(|line| line.starts_with("w ") && line.contains(" - ")), "{table}");
}

#[test]
fn audit_reports_a_value_that_is_far_too_frequent() {
    use fanin::half::{bf16, f16};
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let std = (noise.iter().map(|x| x * x).sum::<f32>() / noise.len() as f32).sqrt();
    let audit = |dtype: &str, values: &[f32]| {
        let bytes: Vec<u8> = match dtype {
            "BF16" => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            "F16" => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        save_one(&fixture, dtype, &[values.len() as u64 / 192, 192], &bytes);
        let ran = fixture.run(&["audit", "z.safetensors", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (ran.code, report["tensors"][0].clone())
    };
    for dtype in ["F32", "F16", "BF16"] {
        let (code, tensor) = audit(dtype, &noise);
        assert_eq!((code, tensor["kind"].as_str()), (0, Some("fresh")), "{dtype}: {tensor}");
        // In each case, one in `every` values is replaced by the same value, which is `sigma` standard deviations from
        // the mean.
        for (every, sigma) in
            [(5000, -100.0), (480, -100.0), (480, 100.0), (50, 30.0), (7, -4.0), (2, -100.0), (10, 0.5)]
        {
            let mode = std * sigma;
            let wrong: Vec<f32> = noise
                .iter()
                .enumerate()
                .map(|(n, x)| if n * 7919 % every == 0 { mode } else { *x })
                .collect();
            let (code, tensor) = audit(dtype, &wrong);
            let problems = tensor["problems"].to_string();
            let named = problems.contains("values are exactly") || problems.contains("are outliers");
            assert!(code == 1 && named, "{dtype} 1/{every} at {sigma}: {tensor}");
            if sigma.abs() > 4.0 {
                assert_eq!(tensor["kind"], "fresh", "{dtype} 1/{every} at {sigma}: {tensor}");
            }
        }
    }
    // Most weights of this norm are 1, which is not an error.
    let norm: Vec<f32> =
        noise.iter().enumerate().map(|(n, x)| if n % 3 == 0 { 1.0 + x * 0.01 } else { 1.0 }).collect();
    let (code, tensor) = audit("F32", &norm);
    assert!(code == 0 && tensor["notes"].to_string().contains("exactly 1"), "{tensor}");
    // Few of these weights are 1, and the others are far from it.
    let wrong: Vec<f32> =
        noise.iter().enumerate().map(|(n, x)| if n % 480 == 0 { 1.0 } else { *x }).collect();
    let (code, tensor) = audit("F32", &wrong);
    assert!(code == 1 && tensor["problems"].to_string().contains("exactly 1"), "{tensor}");
}

#[test]
fn audit_reports_outliers_of_a_norm_weight_and_ignores_them_in_its_center() {
    let fixture = fixture();
    let noise = values(&fixture, "h.0.attn.weight");
    let mut gain: Vec<f32> = noise[..6144].iter().map(|x| 1.0 + x * 0.01 * 192f32.sqrt()).collect();
    for outliers in [&[1000f32][..], &[-3.0, 5000.0, 40.0]] {
        gain[100..100 + outliers.len()].copy_from_slice(outliers);
        save(&fixture, "y.safetensors", &[("norm.weight", &[6144], gain.clone())]);
        let ran = fixture.run(&["audit", "y.safetensors", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let tensor = &report["tensors"][0];
        let distribution = tensor["distribution"].as_str().unwrap();
        let mean = distribution.strip_prefix("normal(mean=").expect(distribution).split(',').next().unwrap();
        assert!((mean.parse::<f64>().unwrap() - 1.0).abs() < 1e-3, "{tensor}");
        let named = tensor["problems"]
            .to_string()
            .contains(&format!("{} of 6144 values are outliers", outliers.len()));
        assert!(ran.code == 1 && named, "{tensor}");
    }
}

#[test]
fn an_index_that_contradicts_its_files_is_an_error_or_a_warning() {
    let fixture = fixture();
    let make = ["init", "right.toml", "--like", "shapes.json", "--max-shard-size", "300kB", "-o", "many"];
    fixture.good(&make);
    let path = fixture.path("many/model.safetensors.index.json");
    let right = std::fs::read_to_string(&path).unwrap();
    assert_eq!(fixture.good(&["inspect", "many", "--recipe", "right.toml"]).stderr, "");
    let twice = right.replacen(
        "\"h.0.bias\"",
        "\"h.0.attn.weight\": \"model-00001-of-00003.safetensors\", \"h.0.bias\"",
        1,
    );
    std::fs::write(&path, twice).unwrap();
    fixture.refused(&["inspect", "many"], &["\"h.0.attn.weight\" twice"]);
    std::fs::write(&path, "{\"weight_map\": {}}").unwrap();
    fixture.refused(&["inspect", "many"], &["names no tensor"]);
    let mut index: serde_json::Value = serde_json::from_str(&right).unwrap();
    index["metadata"]["total_size"] = 7.into();
    std::fs::write(&path, index.to_string()).unwrap();
    std::fs::copy(fixture.path("x.safetensors"), fixture.path("many/model-00009-of-00009.safetensors"))
        .unwrap();
    for command in [&["inspect"][..], &["audit"], &["verify", "--recipe", "right.toml"]] {
        let ran = fixture.good(&[command, &["many"]].concat());
        assert!(ran.stderr.contains("total_size is 7"), "{}", ran.stderr);
        assert!(ran.stderr.contains("does not name model-00009-of-00009.safetensors"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_a_checkpoint() {
    let fixture = fixture();
    let made = std::process::Command::new("mkfifo").arg(fixture.path("pipe")).status().unwrap();
    assert!(made.success());
    fixture.refused(&["inspect", "pipe"], &["not a regular file"]);
    let mut child = std::process::Command::new(Fixture::program())
        .args(["inspect", "/dev/stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Errors are ignored, because the process may end before it has read all of its input.
    _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &fixture.bytes("x.safetensors"));
    let ran = child.wait_with_output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.code() == Some(2) && said.contains("not a regular file"), "{said}");
}

#[test]
fn torch_values_are_compared_in_the_order_of_the_model() {
    let fixture = fixture();
    let more = ["--seed", "3", "--stream", "torch"];
    let make = ["init", "right.toml", "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
    fixture.good(&[&make[..], &more].concat());
    // Writes the same tensors in alphabetical order, as other libraries do, without the tensor `left_out`.
    let bytes = fixture.bytes("x.safetensors");
    let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(MANIFEST).unwrap();
    let write = |left_out: &str| {
        let mut names: Vec<&String> = all.keys().filter(|name| *name != left_out).collect();
        names.sort();
        let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
        for name in names {
            let start = values.len();
            values.extend_from_slice(&bytes[bytes_of(&bytes, name)]);
            let mut entry = all[name].clone();
            entry["data_offsets"] = serde_json::json!([start, values.len()]);
            header.insert(name.clone(), entry);
        }
        let header = serde_json::to_string(&header).unwrap();
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(fixture.path("y.safetensors"), [&length, header.as_bytes(), &values].concat())
            .unwrap();
    };
    let verify = ["verify", "y.safetensors", "--recipe", "right.toml"];
    let like = ["--like", "shapes.json"];
    write("");
    let ran = fixture.run(&[&verify[..], &more].concat());
    assert_eq!(ran.code, 1, "in the order of the file: {}", ran.stdout);
    fixture.good(&[&verify[..], &more, &like].concat());
    write("h.0.c_proj.weight");
    let ran = fixture.run(&[&verify[..], &more, &like].concat());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("0 not as planned, 1 missing"), "{}", ran.stdout);
    let other = ["--seed", "4", "--stream", "torch"];
    let ran = fixture.run(&[&verify[..], &other, &like].concat());
    assert!(ran.stdout.contains("differ from the seed's"), "{}", ran.stdout);
}
