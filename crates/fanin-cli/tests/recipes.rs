//! Tests of recipes on the command line: the examples of docs/recipes.md, extended recipes, dtypes, ties, copies and
//! drafts.

mod fixture;

use std::collections::BTreeMap;
use std::path::Path;

use fanin_recipe::Manifest;
use fanin_recipe::Model;
use fanin_recipe::Recipe;
use fanin_recipe::recipe::draft::{self, DraftedModel};
use fixture::Fixture;
use safetensors::SafeTensors;
use serde_json::Value;

/// Returns the fenced code blocks of a Markdown page that follow an HTML comment, as pairs of the comment and the code.
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
    let page = include_str!("../../../docs/recipes.md").replace("\r\n", "\n");
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

/// Returns the bytes of a safetensors file with these tensors. The bytes of each tensor are 0, 1, 2 and so on.
fn checkpoint(tensors: &[(&str, safetensors::Dtype, &[usize])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape)| {
            let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (0..size).map(|k| (k % 251) as u8).collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, dtype, shape), bytes)| {
        (*name, safetensors::tensor::TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Tensors with unusual types and shapes.
const ODD: [(&str, safetensors::Dtype, &[usize]); 8] = [
    ("lm_head.weight", safetensors::Dtype::F32, &[30, 8]),
    ("wte.weight", safetensors::Dtype::F32, &[30, 8]),
    ("norm.weight", safetensors::Dtype::F32, &[8]),
    ("position_ids", safetensors::Dtype::I32, &[2, 16]),
    ("inv_freq", safetensors::Dtype::F64, &[4]),
    ("scales", safetensors::Dtype::F8_E8M0, &[3, 5]),
    ("phases", safetensors::Dtype::C64, &[3]),
    ("packed", safetensors::Dtype::F4, &[2, 4]),
];

const ODD_RECIPE: &str = r#"
[init]
"norm.*" = "ones"
"*.weight" = "normal(std=0.02)"
"position_ids" = "arange"
"packed" = "skip"
"*" = "copy"
[dtype]
"norm.*" = "f32"
[tie]
"lm_head.weight" = "wte.weight"
"#;

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
        // Two processes write shards with the same values as one process.
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
    // On the native stream, the values of a tied tensor depend on the canonical name `wte.weight`, even if the file
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

/// Writes the recipe `ODD_RECIPE` without the rule that skips a tensor, and returns the file name of the recipe.
fn skipless(fixture: &Fixture) -> &'static str {
    std::fs::write(fixture.path("skipless.toml"), ODD_RECIPE.replace("\"packed\" = \"skip\"\n", "")).unwrap();
    "skipless.toml"
}

#[test]
fn errors_in_ties_and_dtypes_are_reported_with_their_positions() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("like.safetensors"), checkpoint(&ODD)).unwrap();
    let refused = |recipe: &str, more: &[&str], needles: &[&str]| {
        std::fs::write(fixture.path("bad.toml"), recipe).unwrap();
        fixture.refused(
            &[&["init", "bad.toml", "--like", "like.safetensors", "-o", "x.safetensors"], more].concat(),
            needles,
        );
    };
    let odd = |old: &str, new: &str| ODD_RECIPE.replace(old, new);
    refused(
        &odd("\"lm_head.weight\" = \"wte.weight\"", "\"lm_head.weight\" = \"norm.weight\""),
        &[],
        &["bad.toml:11:1: ", "[30, 8]", "[8]", "the same shape"],
    );
    refused(
        &odd("\"lm_head.weight\" = \"wte.weight\"", "\"head.weight\" = \"wpe.weight\""),
        &[],
        &["bad.toml:11:1: ", "neither \"head.weight\" nor \"wpe.weight\""],
    );
    refused(
        &odd("\"norm.*\" = \"f32\"", "\"nrm.*\" = \"f32\""),
        &[],
        &["bad.toml:9:1: ", "unused rule \"nrm.*\" in [dtype]", "matches no floating-point tensor"],
    );
    refused(
        &odd("\"norm.*\" = \"f32\"", "\"position_ids\" = \"f32\""),
        &[],
        &["bad.toml:9:1: ", "unused rule \"position_ids\" in [dtype]"],
    );
    refused(
        &odd("\"norm.*\" = \"f32\"", "\"*\" = \"f32\""),
        &["--dtype", "bf16"],
        &["bad.toml:9:7: ", "dtype bf16 has no effect"],
    );
    refused(
        &odd("\"packed\" = \"skip\"", "\"packed\" = \"zeros\""),
        &[],
        &["bad.toml:6:12: ", "fanin cannot draw values of dtype F4", "copy"],
    );
    refused(
        &odd("\"position_ids\" = \"arange\"", "\"*.weight*\" = \"ones\"\n\"position_ids\" = \"normal\""),
        &[],
        &["earlier rules apply to all tensors that the pattern matches"],
    );
    refused(
        &odd("\"position_ids\" = \"arange\"", "\"position_ids\" = \"normal\""),
        &[],
        &["bad.toml:5:18: ", "cannot be written as I32", "arange"],
    );
    refused(
        &odd("\"*\" = \"copy\"", "\"phases\" = \"arange\"\n\"*\" = \"copy\""),
        &[],
        &["arange cannot be written as C64"],
    );
    refused(
        &odd("\"norm.*\" = \"ones\"", "\"lm_head.*\" = \"ones\""),
        &[],
        &["bad.toml:3:1: ", "unused rule \"lm_head.*\""],
    );
}

#[test]
fn all_errors_of_a_recipe_are_reported_together_with_their_positions() {
    let fixture = Fixture::new();
    let refused = |recipe: &str, more: &[&str], needles: &[&str]| {
        std::fs::write(fixture.path("bad.toml"), recipe).unwrap();
        let init = ["init", "bad.toml", "--like", "m.json", "-o", "x.safetensors"];
        fixture.refused(&[&init[..], more].concat(), needles)
    };
    refused(
        "[init]\n\"*\" = \"copy\"",
        &[],
        &["bad.toml:2:7: ", "no values to copy", "--like model.safetensors", "^"],
    );
    refused("[init]\n\"*\" = \"skip\"", &[], &["bad.toml:2:7: ", "every tensor is skipped"]);
    refused("[init]\n\"*\" = \"normal(std=1/0)\"", &[], &["bad.toml:2:", "division by zero", "not 0"]);
    // Two invalid specs, an unused rule, and a parameter without a rule are each reported once.
    let said = refused(
        "[init]\n\"*.weight\" = \"nrmal\"\n\"*.bias\" = \"normal(std=x)\"\n\"*.wight\" = \"ones\"",
        &[],
        &[
            "bad.toml:2:15: ",
            "did you mean normal?",
            "bad.toml:3:24: ",
            "bad.toml:4:1: ",
            "1 parameter",
            "steps",
        ],
    );
    assert_eq!(said.matches("nrmal").count(), 2, "{said}");
    // An unused variable is an error, unless --set sets the variable or the extended recipe defines the variable.
    let vars = "[vars]\nsgma = 2\n[init]\n\"*.weight\" = \"normal(std=sigma)\"\n\"*\" = \"zeros\"";
    refused(
        vars,
        &[],
        &["bad.toml:2:1: ", "no rule uses the variable sgma: did you mean sigma?", "bad.toml:4:"],
    );
    let vars = "[vars]\nspare = 2\n[init]\n\"*\" = \"zeros\"\n";
    refused(vars, &[], &["bad.toml:2:1: ", "no rule uses the variable spare\n"]);
    fixture.good(&["init", "bad.toml", "--like", "m.json", "--set", "spare=3", "--dry-run"]);
    std::fs::write(fixture.path("child.toml"), "extends = \"bad.toml\"\n[vars]\nspare = 3\n").unwrap();
    fixture.good(&["init", "child.toml", "--like", "m.json", "-o", "c.safetensors"]);
    let bytes = fixture.bytes("c.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let kept = &header.metadata().as_ref().unwrap()["fanin.recipe"];
    std::fs::write(fixture.path("kept.toml"), kept).unwrap();
    fixture.good(&["init", "kept.toml", "--like", "m.json", "--dry-run"]);
    refused(
        "[vars]\nn = nan\n[init]\n\"*\" = \"constant(n)\"",
        &[],
        &["bad.toml:2:5: ", "n = nan is not a finite"],
    );
    // A built-in recipe does not match another model. The error message must not advise the user to edit the built-in
    // recipe.
    let said = fixture.refused(
        &["init", "gpt2", "--like", "m.json", "-o", "x.safetensors"],
        &[
            "gpt2.toml:",
            "these tensors are not the tensors of the model gpt2",
            "no rule matches",
            "fanin recipe",
        ],
    );
    assert!(!said.contains("remove the rule") && said.lines().count() < 12, "{said}");
}

#[test]
fn a_recipe_extends_only_files_in_its_folder_and_errors_show_little_of_them() {
    let fixture = Fixture::new();
    let secret = format!("{}{}", "s3cret ".repeat(20), "more ".repeat(40_000));
    std::fs::create_dir(fixture.path("in")).unwrap();
    std::fs::create_dir(fixture.path("in/below")).unwrap();
    std::fs::write(fixture.path("secret.txt"), &secret).unwrap();
    std::fs::write(fixture.path("in/secret.txt"), format!("{secret}\n{secret}\n")).unwrap();
    std::fs::write(fixture.path("in/below/base.toml"), fixture::RECIPE).unwrap();
    let run = |base: &str| {
        std::fs::write(fixture.path("in/r.toml"), format!("extends = {base:?}\n")).unwrap();
        fixture.run(&["init", "in/r.toml", "--like", "m.json", "--dry-run"])
    };
    let outside = fixture.path("secret.txt").display().to_string();
    for base in [outside.as_str(), "../secret.txt", "below/../../secret.txt"] {
        let ran = run(base);
        assert!(ran.code == 2 && ran.stderr.contains("outside the folder of this recipe"), "{}", ran.stderr);
        assert!(ran.stderr.contains("in/r.toml:1:11: ") && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    let ran = run("secret.txt");
    assert!(ran.code == 2 && ran.stderr.contains("in/secret.txt:1:"), "{}", ran.stderr);
    assert!(ran.stderr.matches("s3cret").count() < 12 && ran.stderr.len() < 1000, "{}", ran.stderr);
    assert_eq!(run("below/base.toml").code, 0);
    // If an error message quotes a long line of the recipe, the line is shortened.
    let long = format!("[init]\n\"*\" = \"normal(std={}x)\"\n", "1+".repeat(50_000));
    std::fs::write(fixture.path("long.toml"), long).unwrap();
    let said = fixture
        .refused(&["init", "long.toml", "--like", "m.json", "-o", "x"], &["long.toml:2:100019: ", "^"]);
    assert!(said.len() < 1500, "{said}");
}

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

#[test]
fn a_variable_that_contradicts_the_model_is_an_error() {
    let fixture = Fixture::new();
    let needles = [
        "n_layer = 24 contradicts the model",
        "number of tensors",
        "in this model is 12",
        "give the names and shapes of a model",
        "gpt2.toml:9:1: ",
    ];
    fixture.refused(&["init", "gpt2", "--set", "n_layer=24", "-o", "x.safetensors"], &needles);
    fixture.good(&["init", "gpt2", "--set", "n_layer=12", "--dry-run"]);
    fixture.refused(
        &["init", "resnet50", "--set", "fc_fan_in=512", "-o", "x"],
        &["is the fan_in of \"fc.weight\"", "2048"],
    );
    // With the tensors of a deeper model, the recipe of gpt2 scales weights by the depth of the deeper model.
    let xl = fixture.good(&["models", "gpt2-xl", "--manifest"]).stdout;
    std::fs::write(fixture.path("xl.json"), xl).unwrap();
    let plan = fixture.good(&["init", "gpt2", "--like", "xl.json", "--dry-run"]).stdout;
    assert!(plan.contains(&format!("normal(std={})", 0.02 / 96f64.sqrt())), "{plan}");
    // The recipe also matches a manifest without the prefix `transformer.`, as in the published gpt2, and a manifest
    // with both names of the embedding.
    let named = |change: &dyn Fn(&str) -> String| {
        let json = Model::find("gpt2").unwrap().manifest_json;
        std::fs::write(fixture.path("named.json"), change(json)).unwrap();
        fixture.good(&["init", "gpt2", "--like", "named.json", "--dry-run"]).stdout
    };
    let bare = named(&|json| json.replace("\"transformer.", "\""));
    assert!(bare.contains("h.{0..11}.attn.c_attn.weight") && bare.contains("148 tensors"), "{bare}");
    let both = "\n\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[50257,768]},\n\"transformer.wte.weight\"";
    let both = named(&|json| json.replace("\n\"transformer.wte.weight\"", both));
    assert!(both.contains("tied to transformer.wte.weight") && both.contains("149 tensors"), "{both}");
    // A recipe that extends gpt2 can set the variable `n_layer` to another number.
    std::fs::write(fixture.path("mine.toml"), "extends = \"gpt2\"\n[vars]\nn_layer = 24\n").unwrap();
    let plan = fixture.good(&["init", "mine.toml", "--dry-run"]).stdout;
    assert!(plan.contains(&format!("normal(std={})", 0.02 / 48f64.sqrt())), "{plan}");
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
    // The draft for a known model uses the same schemes as the built-in recipe.
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
    // If a tensor of a checkpoint has a dtype that cannot be drawn, the draft copies the tensor.
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

/// Writes the manifest of gpt2, and returns its file name.
fn gpt2_manifest(fixture: &Fixture) -> &'static str {
    let manifest = fixture.good(&["models", "gpt2", "--manifest"]).stdout;
    std::fs::write(fixture.path("gpt2.json"), manifest).unwrap();
    "gpt2.json"
}

#[test]
fn explain_shows_the_fans_the_std_and_the_signal_of_a_spec() {
    let fixture = Fixture::new();
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&fixture.good(&[&["explain"], arguments, &["--json"]].concat()).stdout).unwrap()
    };
    let he = fixture.good(&["explain", "kaiming_normal(nonlinearity=relu)", "--shape", "64,3,7,7"]).stdout;
    for needle in [
        "3 input channels * 7 * 7 kernel positions = 147",
        "64 output channels * 7 * 7 kernel positions = 3,136",
        "std = 1.414 / sqrt(147) = 0.1166, with fan_in = 147",
        "equation 10",
        "relu after each layer",
        "kept",
        "exploded",
        "3.6/sqrt(fan_in)",
    ] {
        assert!(he.contains(needle), "{needle}: {he}");
    }
    let he = json(&["kaiming_normal(nonlinearity=relu)", "--shape", "64,3,7,7", "--layers", "10,50"]);
    let near = |value: &Value, right: f64| {
        assert!((value.as_f64().unwrap() / right - 1.0).abs() < 1e-6, "{value} {right}")
    };
    near(&he["signal"][1]["forward"], 1.0);
    near(&he["signal"][0]["backward"], (3136.0f64 / 147.0).powi(10));
    // A layer has the same fans and the same std in every axis layout.
    for (shape, layout) in [("3,64,7,7", "conv_transpose"), ("7,7,3,64", "keras"), ("7,7,3,64", "jax")] {
        let other = json(&["kaiming_normal(nonlinearity=relu)", "--shape", shape, "--layout", layout]);
        assert_eq!((&other["fan_in"], &other["std"]), (&he["fan_in"], &he["std"]), "{layout}");
    }
    // For a grouped convolution, torch computes with the fan_out of all groups together.
    let grouped = json(&["kaiming_normal(mode=fan_out)", "--shape", "128,16,3,3", "--groups", "4"]);
    assert_eq!((&grouped["fan_out"], &grouped["formula_fan_out"]), (&288.into(), &1152.into()));
    assert!(grouped["notes"][0].as_str().unwrap().contains("4 groups"), "{grouped}");
    // If the spec has groups or axes, the explanation uses the groups and axes of the spec.
    let grouped = json(&["kaiming_normal(mode=fan_out, groups=4)", "--shape", "128,16,3,3"]);
    near(&grouped["signal"][0]["backward"], 1.0);
    let axes = json(&["kaiming_normal(layout=hwio)", "--shape", "3,3,32,64"]);
    assert_eq!((&axes["fan_in"], &axes["formula_fan_in"]), (&288.into(), &288.into()), "{axes}");
    // --layout applies to every scheme that has an axis layout. The suggested specs use this layout too.
    for spec in
        ["lecun_normal", "he_uniform", "glorot_normal", "linear_default", "spectral", "xavier_uniform"]
    {
        let keras = json(&[spec, "--shape", "3,3,32,64", "--layout", "keras"]);
        assert_eq!((&keras["fan_in"], &keras["formula_fan_in"]), (&288.into(), &288.into()), "{spec}");
    }
    let proposed =
        json(&["kaiming_normal", "--shape", "64,32,4,4", "--layout", "conv_transpose", "--groups", "4"]);
    let proposal = proposed["suited"][1]["spec"].as_str().unwrap();
    let again = json(&[proposal, "--shape", "64,32,4,4"]);
    near(&again["signal"][2]["forward"], 1.0);
    // The signal is computed for the nonlinearity that the spec implies.
    for (spec, name) in [
        ("kaiming_normal(nonlinearity=mish)", "mish"),
        ("xavier_normal(gain=forward(tanh))", "tanh"),
        ("siren(omega=20)", "sine(20)"),
    ] {
        assert_eq!(json(&[spec, "--shape", "256,256"])["nonlinearity"], name, "{spec}");
    }
    let stack = json(&["stacked(kaiming_normal)", "--shape", "8,256,64"]);
    assert_eq!((&stack["fan_in"], &stack["nonlinearity"]), (&64.into(), &"relu".into()));
    near(&stack["signal"][2]["forward"], 1.0);
    for fixed in ["idinit", "zero_hadamard", "stacked(idinit)", "blocks(eye, zeros)"] {
        let shape = if fixed.starts_with("stacked") { "2,128,64" } else { "128,64" };
        let report = json(&[fixed, "--shape", shape]);
        assert!(report["signal"].is_null() && !report["notes"].to_string().contains("drowns"), "{report}");
    }
    // The layout in a spec takes precedence over --layout. If both differ, there is a note.
    let both = json(&["kaiming_normal(layout=in_out)", "--shape", "64,3,7,7", "--layout", "torch"]);
    assert!(both["notes"][0].as_str().unwrap().contains("layout=in_out"), "{both}");
    let tanh = json(&["xavier_uniform", "--shape", "512,512", "--nonlinearity", "tanh"]);
    assert!(tanh["signal"][2]["forward"].as_f64().unwrap() < 0.05, "{tanh}");
    assert_eq!(json(&["normal(std=0.02)", "--shape", "10"])["signal"], Value::Null);
    assert_eq!(json(&["ones", "--shape", "10,10"])["signal"], Value::Null);
    for spec in [
        "eye",
        "orthogonal(gain=relu)",
        "sparse(0.5)",
        "zeros",
        "trunc_normal(std=0.02)",
        "uniform",
        "normal(mean=3)",
        "xavier_normal(gain=tanh)",
    ] {
        fixture.good(&["explain", spec, "--shape", "20,30"]);
    }
    fixture
        .refused(&["explain", "normal", "--shape", "4,4", "--nonlinearity", "rleu"], &["did you mean relu?"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--layout", "nhwc"], &["kernel_in_out"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--groups", "3"], &["groups = 3"]);
    fixture.refused(&["explain", "normal", "--shape", "4,4", "--layers", "0"], &["--layers"]);
}
