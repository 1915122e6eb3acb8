//! Tests of checkpoints that are written with recipes: values, types and metadata.

use std::path::Path;

use fanin_recipe::{Manifest, Model, Recipe};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::common::{ODD, ODD_RECIPE, checkpoint, skipless};
use crate::fixture::{self, Fixture};

#[test]
fn ties_dtypes_copies_and_arange_are_written() {
    let fixture = Fixture::new();
    let like = checkpoint(&ODD);
    std::fs::write(fixture.path("like.safetensors"), &like).unwrap();
    std::fs::write(fixture.path("odd.toml"), ODD_RECIPE).unwrap();
    let before = SafeTensors::deserialize(&like).unwrap();
    for stream in ["native", "torch"] {
        let out = format!("{stream}.safetensors");
        let base = ["init", "odd.toml", "--like", "like.safetensors", "--seed", "5", "--stream", stream];
        fixture.good(&[&base[..], &["--dtype", "bf16", "-o", &out]].concat());
        let bytes = fixture.bytes(&out);
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let [head, first] = ["lm_head.weight", "wte.weight"].map(|name| read.tensor(name).unwrap());
        assert_eq!((head.dtype(), head.data()), (safetensors::Dtype::BF16, first.data()), "{stream}");
        assert_eq!(read.tensor("norm.weight").unwrap().dtype(), safetensors::Dtype::F32);
        let steps: Vec<i32> = read
            .tensor("position_ids")
            .unwrap()
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b))
            .collect();
        assert_eq!(steps, (0..32).map(|k| k % 16).collect::<Vec<i32>>());
        for name in ["inv_freq", "scales", "phases"] {
            let (is, was) = (read.tensor(name).unwrap(), before.tensor(name).unwrap());
            assert_eq!((is.dtype(), is.shape(), is.data()), (was.dtype(), was.shape(), was.data()), "{name}");
        }
        assert!(read.tensor("packed").is_err(), "skipped");
        fixture.good(
            &["verify", &out, "--recipe", "skipless.toml", "--seed", "5", "--stream", stream]
                .map(|argument| if argument == "skipless.toml" { skipless(&fixture) } else { argument }),
        );
        // Two processes together write shards with the same values as one process.
        for part in ["1/2", "2/2"] {
            fixture.good(
                &[&base[..], &["--dtype", "bf16", "--max-shard-size", "500B", "--part", part, "-o", stream]]
                    .concat(),
            );
        }
        fixture.good(&["diff", stream, &out]);
        fixture.good(
            &[&base[..], &["--dtype", "bf16", "--max-shard-size", "500B", "--resume", "-o", stream]].concat(),
        );
    }
    // On the native stream, the values of a tied tensor depend on its canonical name, here `wte.weight`. The file
    // contains only the alias `lm_head.weight`.
    let mut expected = vec![0f32; 240];
    fanin::init::normal(0.0, 0.02)
        .fill(&mut expected, &[30, 8], &mut fanin::Native::new(5).tensor("wte.weight"))
        .unwrap();
    std::fs::write(fixture.path("one.json"), r#"{"lm_head.weight": {"dtype": "F32", "shape": [30, 8]}}"#)
        .unwrap();
    std::fs::write(
        fixture.path("one.toml"),
        "[init]\n\"*\" = \"normal(std=0.02)\"\n[tie]\n\"lm_head.weight\" = \"wte.weight\"",
    )
    .unwrap();
    fixture.good(&["init", "one.toml", "--like", "one.json", "--seed", "5", "-o", "one.safetensors"]);
    let bytes = fixture.bytes("one.safetensors");
    assert_eq!(
        fixture::floats(SafeTensors::deserialize(&bytes).unwrap().tensor("lm_head.weight").unwrap().data()),
        expected
    );
    // On the torch stream, tied tensors are drawn only once.
    let torch = fixture.bytes("torch.safetensors");
    let mut generator = fanin::Torch::new(5);
    let mut drawn = vec![fanin::half::bf16::ZERO; 240];
    fanin::init::normal(0.0, 0.02).fill(&mut drawn, &[30, 8], &mut generator).unwrap();
    let drawn: Vec<u8> = drawn.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(SafeTensors::deserialize(&torch).unwrap().tensor("wte.weight").unwrap().data(), drawn);
    // Values cannot be copied from a manifest, because a manifest has no values.
    std::fs::write(fixture.path("m2.json"), r#"{"t": {"dtype": "F32", "shape": [3]}}"#).unwrap();
    std::fs::write(fixture.path("copy.toml"), "[init]\nt = \"copy\"").unwrap();
    fixture.refused(
        &["init", "copy.toml", "--like", "m2.json", "-o", "x.safetensors"],
        &["t: the rule \"t\" copies this tensor", "checkpoint"],
    );
}

#[test]
fn the_metadata_of_a_checkpoint_contains_the_flattened_recipe() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("base.toml"), fixture::RECIPE).unwrap();
    let child =
        "extends = \"base.toml\"\n[vars]\nn_layer = 3\n[init]\n\"a.*\" = '''\nuniform(\n  a=-1, b=1)'''\n";
    std::fs::write(fixture.path("child.toml"), child).unwrap();
    fixture.good(&["init", "child.toml", "--like", "m.json", "--seed", "3", "-o", "one.safetensors"]);
    let bytes = fixture.bytes("one.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let kept = header.metadata().as_ref().unwrap()["fanin.recipe"].clone();
    assert!(!kept.contains("extends =") && kept.contains("uniform("), "{kept}");
    std::fs::write(fixture.path("kept.toml"), &kept).unwrap();
    std::fs::remove_file(fixture.path("base.toml")).unwrap();
    fixture.good(&["init", "kept.toml", "--like", "one.safetensors", "--seed", "3", "-o", "two.safetensors"]);
    fixture.good(&["diff", "one.safetensors", "two.safetensors"]);
    fixture.good(&["verify", "two.safetensors", "--recipe", "kept.toml", "--seed", "3"]);
    // A recipe that extends a built-in recipe is flattened too.
    std::fs::write(fixture.path("mine.toml"), "extends = \"resnet50\"\n[init]\n\"fc.weight\" = \"zeros\"\n")
        .unwrap();
    let manifest = Model::find("resnet50").unwrap().manifest();
    let mine = Recipe::read(&fixture.path("mine.toml")).unwrap();
    let flat = Recipe::parse(&mine.flatten(&manifest), Path::new("flat.toml")).unwrap();
    let planned = |recipe: &Recipe| -> Vec<String> {
        recipe
            .plan(&manifest, &[])
            .unwrap()
            .iter()
            .map(|planned| format!("{} {:?} {:?}", planned.action, planned.plan, planned.tied))
            .collect()
    };
    assert_eq!(planned(&mine), planned(&flat));
}

#[test]
fn a_dry_run_prints_a_table_of_layers_and_totals() {
    let fixture = Fixture::new();
    let table = fixture.good(&["init", "gpt2", "--dry-run"]).stdout;
    let row = table.lines().find(|line| line.contains("attn.c_attn.weight")).unwrap();
    let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        cells,
        [
            "transformer.h.{0..11}.attn.c_attn.weight",
            "[768, 2304]",
            "F32",
            "normal(std=0.02)",
            "0.02",
            "12",
            "21,233,664",
            "*.c_attn.weight"
        ]
    );
    for needle in ["148 tensors, 124,439,808 values, 497.8 MB", "F32", "497,759,232"] {
        assert!(table.contains(needle), "{needle}: {table}");
    }
    let json = fixture.good(&["init", "gpt2", "--dry-run", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["tensors"].as_array().unwrap().len(), &json["totals"]["dtypes"][0]["bytes"]),
        (148, &497_759_232u64.into())
    );
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| group["tensors"].as_array().unwrap().len()).sum::<usize>(), 148);
    assert!(groups.len() < 20, "{}", groups.len());
    // The plan of a dry run shows dtypes, ties and skipped tensors.
    std::fs::write(fixture.path("like.safetensors"), checkpoint(&ODD)).unwrap();
    std::fs::write(fixture.path("odd.toml"), ODD_RECIPE).unwrap();
    let table = fixture
        .good(&["init", "odd.toml", "--like", "like.safetensors", "--dtype", "bf16", "--dry-run"])
        .stdout;
    for needle in [
        "tied to wte.weight",
        "skipped: packed (1 tensor)",
        "240 of these values belong to 1 tied tensor",
        "BF16",
        "total",
        "arange",
        "copy",
    ] {
        assert!(table.contains(needle), "{needle}: {table}");
    }
}

#[test]
fn tensors_of_dtypes_that_fanin_cannot_read_are_accepted() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("a.safetensors"), checkpoint(&ODD)).unwrap();
    let mut other = checkpoint(&ODD);
    let manifest = Manifest::read(&fixture.path("a.safetensors")).unwrap();
    let phases = manifest.entries.iter().find(|entry| entry.name == "phases").unwrap();
    let data = 8 + u64::from_le_bytes(other[..8].try_into().unwrap()) as usize;
    other[data + phases.offsets.unwrap().0 as usize] ^= 1;
    std::fs::write(fixture.path("b.safetensors"), other).unwrap();
    let inspected = fixture.good(&["inspect", "a.safetensors"]);
    for needle in
        ["C64 values are not examined", "F8_E8M0 values are not examined", "F4 values are not examined"]
    {
        assert!(inspected.stderr.contains(needle), "{needle}: {}", inspected.stderr);
    }
    assert!(inspected.stdout.contains("phases"), "{}", inspected.stdout);
    let json: Value =
        serde_json::from_str(&fixture.good(&["inspect", "a.safetensors", "--json"]).stdout).unwrap();
    assert_eq!(json["totals"]["tensors"], 8);
    fixture.good(&["diff", "a.safetensors", "a.safetensors"]);
    let differ = fixture.run(&["diff", "a.safetensors", "b.safetensors"]);
    assert!(differ.code == 1 && differ.stdout.contains("not examined"), "{}", differ.stdout);
    let audit = fixture.run(&["audit", "a.safetensors"]);
    assert!(audit.code < 2 && audit.stdout.contains("not examined"), "{}{}", audit.stdout, audit.stderr);
}
