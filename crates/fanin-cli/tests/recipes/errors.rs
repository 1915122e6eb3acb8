//! Tests of errors in recipes.

use fanin_recipe::Model;
use safetensors::SafeTensors;

use crate::common::{ODD, ODD_RECIPE, checkpoint};
use crate::fixture::{self, Fixture};

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
    // An unused variable is an error, unless --set sets the variable or the base recipe defines the variable.
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
    // The recipe also matches names without the prefix `transformer.`, as in the published gpt2. It also matches a
    // manifest that lists the tied tensor `lm_head.weight`.
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
