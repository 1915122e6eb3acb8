//! `verify` and `diff` on the real binary: right files pass, and each of the field's silent bugs is named.

mod desk;

use desk::Desk;

const MANIFEST: &str = r#"{
    "h.0.attn.weight": {"dtype": "F32", "shape": [384, 192]},
    "h.1.attn.weight": {"dtype": "BF16", "shape": [384, 192]},
    "h.0.c_proj.weight": {"dtype": "F32", "shape": [192, 384]},
    "h.0.cut.weight": {"dtype": "F32", "shape": [256, 256]},
    "h.0.conv.weight": {"dtype": "F16", "shape": [64, 32, 3, 3]},
    "h.0.rnn.weight": {"dtype": "F32", "shape": [64, 96]},
    "h.0.map.weight": {"dtype": "F32", "shape": [64, 48]},
    "h.0.norm.weight": {"dtype": "BF16", "shape": [192]},
    "h.0.bias": {"dtype": "F32", "shape": [192]}}"#;

/// A recipe with these instead of the right rules.
fn recipe(changes: &[(&str, &str)]) -> String {
    let mut text = "[init]\n".to_owned();
    for (pattern, spec) in [
        ("*.attn.weight", "normal(std=1/sqrt(fan_in))"),
        ("*.c_proj.weight", "normal(std=0.02/sqrt(2*12))"),
        ("*.cut.weight", "trunc_normal(std=1/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))"),
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

fn desk() -> Desk {
    let desk = Desk::new();
    std::fs::write(desk.path("right.toml"), recipe(&[])).unwrap();
    std::fs::write(desk.path("shapes.json"), MANIFEST).unwrap();
    desk.good(&["init", "right.toml", "--like", "shapes.json", "--seed", "3", "-o", "x.safetensors"]);
    desk
}

/// Verifies `x.safetensors`, which must fail, and name this tensor and this test.
fn caught(desk: &Desk, more: &[&str], tensor: &str, test: &str) {
    let ran = desk.run(&[&["verify", "x.safetensors", "--recipe", "right.toml"], more].concat());
    assert_eq!(ran.code, 1, "{tensor} {test}: {}{}", ran.stdout, ran.stderr);
    let named = ran.stdout.lines().any(|line| line.contains(tensor) && line.contains(test));
    assert!(named, "{tensor} {test}: {}", ran.stdout);
}

/// Where the values of a tensor begin and end in the file.
fn place(bytes: &[u8], tensor: &str) -> std::ops::Range<usize> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let at = |n: usize| 8 + length + header[tensor]["data_offsets"][n].as_u64().unwrap() as usize;
    at(0)..at(1)
}

#[test]
fn right_files_pass_by_law_and_by_bits() {
    let desk = desk();
    for seed in 0..12 {
        let seed = &seed.to_string();
        for stream in ["native", "torch"] {
            let from = ["--seed", seed, "--stream", stream];
            let make =
                ["init", "right.toml", "--like", "shapes.json", "--force", "-q", "-o", "y.safetensors"];
            desk.good(&[&make[..], &from].concat());
            let verify = ["verify", "y.safetensors", "--recipe", "right.toml", "--alpha", "1e-6"];
            desk.good(&verify);
            desk.good(&[&verify[..], &from].concat());
        }
    }
}

#[test]
fn wrong_laws_are_caught() {
    let desk = desk();
    for (pattern, spec, tensor, test) in [
        // A std 2 % off; the wrong fan; in and out swapped; GPT-2's residual scaling left out.
        ("*.attn.weight", "normal(std=1.02/sqrt(fan_in))", "h.0.attn", "std"),
        ("*.attn.weight", "normal(std=0.98/sqrt(fan_in))", "h.1.attn", "std"),
        ("*.attn.weight", "normal(std=1/sqrt(fan_out))", "h.0.attn", "std"),
        ("*.conv.weight", "kaiming_uniform(nonlinearity=relu)", "h.0.conv", "bounds"),
        ("*.c_proj.weight", "normal(std=0.02)", "h.0.c_proj", "std"),
        // LeCun's variance corrected for a cut that is corrected already: 1.137 times too large.
        (
            "*.cut.weight",
            "trunc_normal(std=1.137/sqrt(fan_in), a=-2.274/sqrt(fan_in), b=2.274/sqrt(fan_in))",
            "h.0.cut",
            "bounds",
        ),
        // The fans of one shard of four.
        (
            "*.cut.weight",
            "trunc_normal(std=2/sqrt(fan_in), a=-2/sqrt(fan_in), b=2/sqrt(fan_in))",
            "h.0.cut",
            "std",
        ),
        // Tails cut, and not cut; the law another of the same std.
        ("*.attn.weight", "trunc_normal(std=1/sqrt(192), a=-3/sqrt(192), b=3/sqrt(192))", "h.0.attn", "tail"),
        ("*.cut.weight", "normal(std=0.8796/sqrt(fan_in))", "h.0.cut", "bounds"),
        ("*.attn.weight", "uniform(a=-sqrt(3/192), b=sqrt(3/192))", "h.1.attn", "law"),
        ("*.attn.weight", "zeros", "h.0.attn", "std"),
        ("*.rnn.weight", "normal(std=1/sqrt(96))", "h.0.rnn", "orthogonal"),
        ("*.rnn.weight", "orthogonal(gain=1.01)", "h.0.rnn", "orthogonal"),
        ("*.map.weight", "sparse(sparsity=0.2, std=0.1)", "h.0.map", "zeros"),
        ("*.norm.weight", "constant(1.01)", "h.0.norm", "exact"),
    ] {
        std::fs::write(desk.path("wrong.toml"), recipe(&[(pattern, spec)])).unwrap();
        let make = ["init", "wrong.toml", "--like", "shapes.json", "--force", "-q", "-o", "x.safetensors"];
        desk.good(&make);
        caught(&desk, &[], tensor, test);
    }
}

#[test]
fn damage_is_caught() {
    let desk = desk();
    let right = desk.bytes("x.safetensors");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), test: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[place(&right, tensor)]);
        std::fs::write(desk.path("x.safetensors"), bytes).unwrap();
        caught(&desk, &[], tensor, test);
        caught(&desk, &["--seed", "3"], tensor, "bits");
    };
    damaged("h.0.attn.weight", &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "finite");
    damaged("h.1.attn.weight", &|bytes| bytes.fill(0), "std");
    damaged("h.0.cut.weight", &|bytes| bytes[..4].copy_from_slice(&9f32.to_le_bytes()), "bounds");
    damaged("h.0.c_proj.weight", &|bytes| bytes[..4].copy_from_slice(&0.1f32.to_le_bytes()), "outlier");
    damaged("h.0.bias", &|bytes| bytes[4..8].copy_from_slice(&1e-30f32.to_le_bytes()), "exact");
    // Two equal shards: of rows; of rows, not the first two of four; of columns.
    damaged("h.0.attn.weight", &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2), "repeats");
    damaged("h.1.attn.weight", &|bytes| bytes.copy_within(192 * 192..288 * 192, 288 * 192), "repeats");
    damaged(
        "h.0.c_proj.weight",
        &|bytes| bytes.chunks_mut(384 * 4).for_each(|row| row.copy_within(..192 * 4, 192 * 4)),
        "repeats",
    );
    // One row left at zero; one bit turned, which only the seed tells.
    damaged("h.0.cut.weight", &|bytes| bytes[1024..2048].fill(0), "zeros");
    let mut bytes = right.clone();
    bytes[place(&right, "h.0.rnn.weight")][0] ^= 1;
    std::fs::write(desk.path("x.safetensors"), bytes).unwrap();
    desk.good(&["verify", "x.safetensors", "--recipe", "right.toml"]);
    caught(&desk, &["--seed", "3"], "h.0.rnn.weight", "1 value of 6144 differ");
}

#[test]
fn folders_and_indices_are_read_as_one() {
    let desk = desk();
    let folder = desk.path("sharded");
    std::fs::create_dir(&folder).unwrap();
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_str(MANIFEST).unwrap();
    let mut map = serde_json::Map::new();
    for (number, (name, entry)) in whole.iter().enumerate() {
        let file = format!("model-{}-of-2.safetensors", 1 + number / 5);
        map.insert(name.clone(), file.into());
        _ = entry;
    }
    for number in 1..=2 {
        let file = format!("model-{number}-of-2.safetensors");
        let part: serde_json::Map<_, _> = whole
            .iter()
            .filter(|(name, _)| map[*name] == file)
            .map(|(n, e)| (n.clone(), e.clone()))
            .collect();
        std::fs::write(desk.path("part.json"), serde_json::to_string(&part).unwrap()).unwrap();
        let rules: String = recipe(&[])
            .lines()
            .filter(|line| {
                let kind = line.trim_start_matches("\"*").split('"').next().unwrap_or("");
                line.starts_with('[') || part.keys().any(|name| name.ends_with(kind))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(desk.path("part.toml"), rules).unwrap();
        let out = format!("sharded/{file}");
        desk.good(&["init", "part.toml", "--like", "part.json", "--seed", "3", "-o", &out]);
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
            desk.good(&["diff", path, "x.safetensors"]);
            desk.good(&["verify", path, "--recipe", "right.toml", "--seed", "3"]);
            desk.good(&["inspect", path]);
        }
        index(&map);
    }
    map.insert("missing".into(), "model-1-of-2.safetensors".into());
    index(&map);
    desk.refused(&["inspect", "sharded"], &["\"missing\"", "not there"]);
    map["missing"] = "../elsewhere.safetensors".into();
    index(&map);
    desk.refused(&["inspect", "sharded"], &["../elsewhere.safetensors", "beside their index"]);
}

#[test]
fn diff_names_what_differs() {
    let desk = desk();
    let ran = desk.good(&["diff", "x.safetensors", "x.safetensors"]);
    assert!(ran.stdout.contains("9 tensors identical, 0 different"), "{}", ran.stdout);
    let mut bytes = desk.bytes("x.safetensors");
    let at = place(&bytes, "h.0.bias");
    bytes[at][..4].copy_from_slice(&0.5f32.to_le_bytes());
    std::fs::write(desk.path("y.safetensors"), &bytes).unwrap();
    let ran = desk.run(&["diff", "x.safetensors", "y.safetensors", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, found["identical"].as_u64()), (1, Some(8)));
    let tensor = &found["tensors"][0];
    assert_eq!((tensor["what"].as_str(), tensor["name"].as_str()), (Some("changed"), Some("h.0.bias")));
    assert_eq!((tensor["max"].as_f64(), tensor["values_changed"].as_u64()), (Some(0.5), Some(1)));
    let other = r#"{"h.0.bias": {"dtype": "F16", "shape": [192]}, "h.0.norm.weight": {"dtype": "BF16", "shape": [96, 2]},
                    "new.bias": {"dtype": "F32", "shape": [2]}}"#;
    std::fs::write(desk.path("o.json"), other).unwrap();
    std::fs::write(desk.path("o.toml"), "[init]\n\"*\" = \"zeros\"\n").unwrap();
    desk.good(&["init", "o.toml", "--like", "o.json", "-o", "o.safetensors"]);
    let ran = desk.run(&["diff", "x.safetensors", "o.safetensors"]);
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
fn audit_tells_laws_and_names_damage() {
    let desk = desk();
    let right = desk.bytes("x.safetensors");
    let looks = |code: i32| -> serde_json::Value {
        let ran = desk.run(&["audit", "x.safetensors", "--json"]);
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let of = |report: &serde_json::Value, name: &str| -> serde_json::Value {
        let tensors = report["tensors"].as_array().unwrap();
        tensors.iter().find(|tensor| tensor["name"] == name).unwrap().clone()
    };
    let report = looks(0);
    for (name, look, law) in [
        ("h.0.attn.weight", "fresh", "normal(std="),
        ("h.1.attn.weight", "fresh", "normal(std="),
        ("h.0.cut.weight", "fresh", "trunc_normal(std="),
        ("h.0.conv.weight", "fresh", "uniform(a="),
        ("h.0.rnn.weight", "orthogonal", "orthogonal(gain="),
        ("h.0.norm.weight", "one value", "1"),
        ("h.0.bias", "one value", "0"),
    ] {
        let found = of(&report, name);
        assert_eq!(found["look"], look, "{found}");
        assert!(found["law"].as_str().unwrap().starts_with(law), "{found}");
    }
    let scheme = of(&report, "h.0.conv.weight")["schemes"].to_string();
    assert!(scheme.contains("mode=fan_out, nonlinearity=relu"), "{scheme}");
    let damaged = |tensor: &str, damage: &dyn Fn(&mut [u8]), needle: &str| {
        let mut bytes = right.clone();
        damage(&mut bytes[place(&right, tensor)]);
        std::fs::write(desk.path("x.safetensors"), bytes).unwrap();
        let problems = of(&looks(1), tensor)["problems"].to_string();
        assert!(problems.contains(needle), "{tensor} {needle}: {problems}");
    };
    let tensor = "h.0.attn.weight";
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&f32::NAN.to_le_bytes()), "NaN");
    damaged(tensor, &|bytes| bytes[400..404].copy_from_slice(&9f32.to_le_bytes()), "std out");
    damaged(tensor, &|bytes| bytes.copy_within(..384 * 192 * 2, 384 * 192 * 2), "a block stands twice");
    damaged(tensor, &|bytes| bytes[..96 * 192 * 4].fill(0), "96 of 384 rows are all zeros");
    damaged(tensor, &|bytes| bytes[..40_000].fill(1), "memory that nobody wrote");
    damaged(
        tensor,
        &|bytes| {
            bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|b| {
                *b = f32::from_le_bytes(*b).clamp(-0.1, 0.1).to_le_bytes();
            });
        },
        "piled up",
    );
}
