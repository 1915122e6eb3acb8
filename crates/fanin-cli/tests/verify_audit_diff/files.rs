//! Tests of `diff`, of checkpoints with several files, and of unusual types and shapes. Reading a checkpoint from a
//! pipe must be an error.

use crate::common::{MANIFEST, bytes_of, fixture, recipe, save_one};
use crate::fixture::Fixture;

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
