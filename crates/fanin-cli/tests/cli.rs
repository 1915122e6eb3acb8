//! Tests of the main features of the commands. Each test runs the binary in a temporary folder.

mod fixture;

use fixture::{Fixture, RECIPE, floats};
use safetensors::SafeTensors;

#[test]
fn init_writes_a_checkpoint_that_the_safetensors_crate_can_read() {
    let fixture = Fixture::new();
    let ran = fixture.good(&["init", "r.toml", "--like", "m.json", "--seed", "7", "-o", "out.safetensors"]);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("5 tensors, 21,064 values"), "{}", ran.stderr);
    let bytes = fixture.bytes("out.safetensors");
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let weight = read.tensor("b.weight").unwrap();
    assert_eq!((weight.shape(), weight.dtype()), (&[300, 70][..], safetensors::Dtype::F32));
    let values = floats(weight.data());
    let std = (values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / 21000.0).sqrt();
    let planned = 0.5 / 140f64.sqrt();
    assert!((std / planned - 1.0).abs() < 0.025, "five standard errors of 21000 values: {std} {planned}");
    assert!(read.tensor("b.bias").unwrap().data().iter().all(|&byte| byte == 0));
    assert_eq!(read.tensor("steps").unwrap().data(), 3i64.to_le_bytes());
    assert_eq!(read.tensor("empty.weight").unwrap().data(), [0u8; 0]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    for (key, value) in
        [("format", "pt"), ("fanin.seed", "7"), ("fanin.stream", "native"), ("fanin.recipe", RECIPE)]
    {
        assert_eq!(metadata.get(key).map(String::as_str), Some(value));
    }
    // The header lists the tensors in the order of the manifest, which is not alphabetical.
    let header = String::from_utf8_lossy(&bytes).into_owned();
    assert!(header.find("\"b.weight\"").unwrap() < header.find("\"a.weight\"").unwrap());
}

#[test]
fn init_writes_the_same_values_as_a_fill_of_the_library() {
    let fixture = Fixture::new();
    fixture.good(&["init", "r.toml", "--like", "m.json", "--seed", "7", "-o", "out.safetensors"]);
    let bytes = fixture.bytes("out.safetensors");
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut expected = vec![0f32; 21000];
    let init = fanin::init::normal(0.0, 0.5 / (2.0f64 * 70.0).sqrt());
    init.fill(&mut expected, &[300, 70], &mut fanin::Native::new(7).tensor("b.weight")).unwrap();
    assert_eq!(floats(read.tensor("b.weight").unwrap().data()), expected);
}

#[test]
fn equal_arguments_give_equal_bytes_and_another_seed_gives_other_bytes() {
    let fixture = Fixture::new();
    for (seed, out) in [("1", "a.safetensors"), ("1", "b.safetensors"), ("2", "c.safetensors")] {
        fixture.good(&["init", "r.toml", "--like", "m.json", "--seed", seed, "-o", out, "-q"]);
    }
    assert_eq!(fixture.bytes("a.safetensors"), fixture.bytes("b.safetensors"));
    assert_ne!(fixture.bytes("a.safetensors"), fixture.bytes("c.safetensors"));
    // --like also accepts a checkpoint. Only the header of the checkpoint is read.
    fixture.good(&["init", "r.toml", "--like", "a.safetensors", "--seed", "1", "-o", "d.safetensors", "-q"]);
    assert_eq!(fixture.bytes("a.safetensors"), fixture.bytes("d.safetensors"));
}

#[test]
fn a_tensor_that_is_larger_than_a_chunk_has_the_same_values_as_one_fill() {
    let fixture = Fixture::new();
    fixture.good(&["fill", "normal", "--shape", "3,1500001", "--seed", "5", "-o", "out.safetensors"]);
    let bytes = fixture.bytes("out.safetensors");
    let mut expected = vec![0f32; 3 * 1_500_001];
    let mut stream = fanin::Native::new(5).tensor("weight");
    fanin::init::normal(0.0, 1.0).fill(&mut expected, &[3, 1_500_001], &mut stream).unwrap();
    assert!(floats(SafeTensors::deserialize(&bytes).unwrap().tensor("weight").unwrap().data()) == expected);
}

#[test]
fn the_torch_stream_draws_tensors_in_the_order_of_the_file() {
    let fixture = Fixture::new();
    fixture.good(&[
        "init",
        "r.toml",
        "--like",
        "m.json",
        "--stream",
        "torch",
        "--seed=-1",
        "-o",
        "out.safetensors",
    ]);
    let bytes = fixture.bytes("out.safetensors");
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let mut torch = fanin::Torch::new(u64::MAX);
    let mut first = vec![0f32; 21000];
    fanin::init::normal(0.0, 0.5 / (2.0f64 * 70.0).sqrt()).fill(&mut first, &[300, 70], &mut torch).unwrap();
    let mut second = vec![fanin::half::bf16::ZERO; 60];
    fanin::init::normal(0.0, 0.5 / (2.0f64 * 12.0).sqrt()).fill(&mut second, &[5, 4, 3], &mut torch).unwrap();
    assert_eq!(floats(read.tensor("b.weight").unwrap().data()), first);
    let bits: Vec<u8> = second.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(read.tensor("a.weight").unwrap().data(), bits);
}

#[test]
fn init_has_the_options_dtype_set_output_and_dry_run() {
    let fixture = Fixture::new();
    fixture.good(&[
        "init",
        "r.toml",
        "--like",
        "m.json",
        "--dtype",
        "bf16",
        "--set",
        "n_layer=8",
        "-o",
        "o.safetensors",
    ]);
    let bytes = fixture.bytes("o.safetensors");
    let read = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.tensor("b.weight").unwrap().dtype(), safetensors::Dtype::BF16);
    assert_eq!(read.tensor("steps").unwrap().dtype(), safetensors::Dtype::I64, "integers keep their type");
    // If the output is a folder, the file is named model.safetensors.
    std::fs::create_dir(fixture.path("dir")).unwrap();
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "dir"]);
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "new/"]);
    assert_eq!(fixture.bytes("dir/model.safetensors"), fixture.bytes("new/model.safetensors"));
    let before = fixture.files();
    let dry = fixture.good(&["init", "r.toml", "--like", "m.json", "--dry-run", "--set", "n_layer=8"]);
    assert!(dry.stdout.contains(&format!("normal(std={})", 0.5 / 560f64.sqrt())), "{}", dry.stdout);
    let dry = fixture.good(&["init", "r.toml", "--like", "m.json", "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!((&json["tensors"][0]["rule"], &json["totals"]["tensors"]), (&"*.weight".into(), &5.into()));
    assert_eq!(fixture.files(), before, "a dry run writes nothing");
}

#[test]
fn inspect_shows_measured_and_planned_statistics_and_warns_of_deviations() {
    let fixture = Fixture::new();
    fixture.good(&["init", "r.toml", "--like", "m.json", "-o", "out.safetensors"]);
    let plain = fixture.good(&["inspect", "out.safetensors"]);
    assert!(plain.stdout.contains("fanin.seed: 0") && plain.stdout.contains("300 x 70"), "{}", plain.stdout);
    let planned = fixture.good(&["inspect", "out.safetensors", "--recipe", "r.toml"]);
    assert!(planned.stdout.contains("planned std") && planned.stdout.contains('█'), "{}", planned.stdout);
    let json = fixture.good(&["inspect", "out.safetensors", "--recipe", "r.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let weight = &json["tensors"][0];
    let (planned, measured) =
        (weight["planned"]["std"].as_f64().unwrap(), weight["measured"]["std"].as_f64().unwrap());
    assert!((measured / planned - 1.0).abs() < 0.025);
    assert_eq!(weight["measured"]["nans"], 0);
    assert_eq!(json["tensors"][1]["measured"]["zeros"], 3);
    // The measured histogram matches the planned histogram. For 32 bars, the chi-square statistic exceeds 100 with a
    // probability of 1e-8.
    let histogram = &weight["measured"]["histogram"];
    let [counts, expected] = ["counts", "planned"].map(|member| -> Vec<f64> {
        histogram[member].as_array().unwrap().iter().map(|count| count.as_f64().unwrap()).collect()
    });
    assert_eq!((counts.len(), counts.iter().sum::<f64>()), (32, 21000.0));
    let chi: f64 = counts.iter().zip(&expected).map(|(is, right)| (is - right).powi(2) / (right + 1.0)).sum();
    assert!(chi < 100.0, "{chi}: {histogram}");
    assert_eq!(
        json["totals"]["dtypes"][0],
        serde_json::json!({"dtype": "F32", "tensors": 1, "values": 21000, "bytes": 84000})
    );
    assert_eq!(
        (&json["warnings"], &json["tensors"][4]["measured"]["mean"]),
        (&serde_json::json!([]), &serde_json::Value::Null)
    );
    // A NaN in a tensor is reported as a warning.
    let mut bytes = fixture.bytes("out.safetensors");
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[data..data + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(fixture.path("nan.safetensors"), bytes).unwrap();
    let json = fixture.good(&["inspect", "nan.safetensors", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["tensors"][0]["measured"]["nans"], 1);
    assert_eq!(json["warnings"][0]["text"], "1 of 21,000 values are NaN");
    // `inspect --recipe` reports a wrong std, mean or distribution, a tensor of zeros, and a tensor that should be
    // zero.
    let right = r#"[init]
"*.weight" = "normal(std=0.5/sqrt(2*fan_in))""#;
    for (right, wrong, message) in [
        (right, "[init]\n\"*.weight\" = \"normal(std=0.47/sqrt(2*fan_in))\"", "expected 0.04226: -5"),
        (right, "[init]\n\"*.weight\" = \"normal(mean=0.01, std=0.04)\"", "expected 0: +"),
        (right, "[init]\n\"*.weight\" = \"orthogonal\"", "standard errors (b.weight)"),
        (
            right,
            "[init]\n\"*.weight\" = \"zeros\"",
            "every value is 0, expected random values of std 0.04226",
        ),
        ("[init]\n\"*.weight\" = \"uniform(a=-0.01, b=0.01)\"", right, "expected -0.01 to 0.01"),
        ("[init]\n\"*.weight\" = \"zeros\"", right, "expected 0 everywhere"),
    ] {
        for (name, rules) in [("right.toml", right), ("wrong.toml", wrong)] {
            std::fs::write(fixture.path(name), format!("{rules}\n\"*\" = \"constant(3)\"\n")).unwrap();
        }
        fixture.good(&["init", "wrong.toml", "--like", "m.json", "--force", "-q", "-o", "wrong.safetensors"]);
        let ran = fixture.good(&["inspect", "wrong.safetensors", "--recipe", "right.toml"]);
        assert!(ran.stderr.contains("warning:") && ran.stderr.contains(message), "{message}: {}", ran.stderr);
        let quiet = fixture.good(&["inspect", "wrong.safetensors", "--recipe", "wrong.toml"]);
        assert!(quiet.stderr.is_empty(), "{}", quiet.stderr);
    }
    fixture.refused(&["inspect", "out.safetensors", "--recipe", "gpt2"], &["no rule matches"]);
}

#[test]
fn explain_and_models_print_fans_stds_and_sizes() {
    let fixture = Fixture::new();
    let text = fixture.good(&["explain", "kaiming_uniform(a=sqrt(5))", "--shape", "64,3,7,7"]).stdout;
    for needle in ["fan_in", "147", "3,136", "0.577350269189", "He, Zhang, Ren, Sun 2015", "bounds"] {
        assert!(text.contains(needle), "{needle}: {text}");
    }
    let json = fixture.good(&["explain", "trunc_normal(std=0.02)", "--shape", "10", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["high"].as_f64(), json["fan_in"].as_u64()), (Some(2.0), None));
    assert!((json["std"].as_f64().unwrap() - 0.02).abs() < 1e-15);
    let warned = |spec: &str| fixture.good(&["explain", spec, "--shape", "10"]).stderr;
    let far = warned("trunc_normal(mean=5, method=inverse_cdf)");
    assert!(far.contains("mean is more than 2 std from [a, b]"), "{far}");
    assert_eq!(warned("trunc_normal(mean=5)"), "", "the native stream is accurate far from the mean");
    fixture.refused(
        &["explain", "kaiming_normal", "--shape", "10"],
        &["Fan in and fan out can not be computed"],
    );
    let list = fixture.good(&["models"]).stdout;
    assert!(list.contains("gpt2-xl") && list.contains("124,439,808") && list.contains("timm"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&fixture.good(&["models", "--json"]).stdout).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["tensors"]), (9, &148.into()));
    // The recipe and the manifest that `models` prints give the same plan as the name of the model.
    std::fs::write(fixture.path("g.toml"), fixture.good(&["models", "resnet50", "--recipe"]).stdout).unwrap();
    std::fs::write(fixture.path("g.json"), fixture.good(&["models", "resnet50", "--manifest"]).stdout)
        .unwrap();
    let plans = fixture.good(&["init", "g.toml", "--like", "g.json", "--dry-run"]).stdout;
    assert_eq!(plans, fixture.good(&["init", "resnet50", "--dry-run"]).stdout);
    let shown = fixture.good(&["models", "resnet50"]).stdout;
    for needle in ["timm.create_model('resnet50')", "torchvision.models.resnet50()", "--stream torch"] {
        assert!(shown.contains(needle), "{needle}: {shown}");
    }
    fixture.refused(&["models", "gpt3"], &["did you mean gpt2?"]);
}

#[test]
fn schemes_lists_every_scheme_with_arguments_formula_and_source() {
    let fixture = Fixture::new();
    let text = fixture.good(&["schemes"]).stdout;
    for scheme in fanin::spec::schemes() {
        let entry = format!("{}\n    {}\n", scheme.signature(), scheme.formula);
        assert!(text.contains(&entry) && text.contains(scheme.source), "{}", scheme.name);
    }
    assert!(text.contains("depth_scaled(layer)\n    1 / sqrt(2 * (layer + 1))\n    Zhang"), "{text}");
    assert!(
        text.contains("trunc_normal(mean=0, std=1, a=-2, b=2") && text.contains("constant(val)"),
        "{text}"
    );
    let one = fixture.good(&["schemes", "lora_a"]).stdout;
    assert!(
        one.starts_with("linear_default") && one.contains("also lora_a") && one.lines().count() < 6,
        "{one}"
    );
    assert_eq!(fixture.good(&["schemes", "kaiming_normal_"]).stdout.matches("kaiming_normal(").count(), 1);
    let json = fixture.good(&["schemes", "mup_hidden", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["scaling_factors"][0]["signature"], "mup_hidden(fan_in, base)");
    fixture.refused(&["schemes", "nromal"], &["unknown scheme \"nromal\": did you mean normal?"]);
}

#[test]
fn help_version_completions_quiet_and_colors_work() {
    let fixture = Fixture::new();
    for command in ["init", "fill", "inspect", "explain", "schemes", "recipe", "models"] {
        let help = fixture.good(&[command, "--help"]).stdout;
        assert!(help.contains("Examples:") && help.contains(&format!("fanin {command}")), "{help}");
    }
    assert_eq!(fixture.good(&["--version"]).stdout.trim(), format!("fanin {}", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(fixture.good(&["completions", shell]).stdout.len() > 500, "{shell}");
    }
    assert_eq!(fixture.run(&[]).code, 2);
    let help = fixture.good(&["--help"]).stdout;
    assert!(["129 SIGHUP", "130 SIGINT", "143 SIGTERM"].iter().all(|code| help.contains(code)), "{help}");
    let quiet = fixture.good(&["fill", "constant(1e-50)", "--shape", "4", "-o", "q.safetensors", "-q"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", quiet.stderr);
    // If the output is a pipe, there are no colors and no progress bars, unless --color=always forces colors.
    let loud = fixture.good(&["fill", "constant(1e-50)", "--shape", "4", "-o", "l.safetensors"]).stderr;
    assert!(loud.contains("warning:") && !loud.contains('\u{1b}') && !loud.contains('\r'), "{loud:?}");
    assert!(fixture.run(&["--color", "always", "init", "gtp2", "-o", "x"]).stderr.contains('\u{1b}'));
}

#[test]
fn the_number_of_threads_does_not_change_the_values() {
    let fixture = Fixture::new();
    for stream in ["native", "torch"] {
        for threads in ["1", "3"] {
            let out = format!("{stream}{threads}.safetensors");
            fixture.good(&[
                "fill",
                "normal",
                "--shape",
                "3000000",
                "--stream",
                stream,
                "--threads",
                threads,
                "-o",
                &out,
            ]);
        }
        let [one, three] = ["1", "3"].map(|threads| fixture.bytes(&format!("{stream}{threads}.safetensors")));
        assert!(one == three, "{stream}");
    }
    fixture.refused(
        &["fill", "normal", "--shape", "4", "--threads", "0", "-o", "x.safetensors"],
        &["--threads"],
    );
}
