//! Tests of recipe drafts. For each family of models, the draft must agree with the initialization code of the models.

mod fixture;

use std::path::Path;

use fanin_recipe::recipe::draft::{self, DraftedModel, ModelConfig};
use fanin_recipe::{Manifest, Planned, Recipe};
use fixture::Fixture;

/// The names and shapes of tensors.
type Tensors<'a> = &'a [(&'a str, &'a [usize])];

/// Returns a manifest of f32 tensors as JSON.
fn manifest_json(tensors: Tensors<'_>) -> String {
    let json: serde_json::Map<String, serde_json::Value> = tensors
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), serde_json::json!({ "dtype": "F32", "shape": shape })))
        .collect();
    serde_json::Value::from(json).to_string()
}

/// Drafts a recipe for tensors. Returns the text of the draft, and the plan of each tensor. `config` is the content of
/// config.json.
fn draft(config: Option<&str>, tensors: Tensors<'_>) -> (String, Vec<Planned>) {
    let manifest = Manifest::from_json(&manifest_json(tensors), Path::new("m.json")).unwrap();
    let config = config.map(|text| ModelConfig::parse(text).unwrap());
    let model = DraftedModel { manifest: &manifest, config: config.as_ref(), file: "m.json", notes: &[] };
    let text = draft::draft(&model).unwrap();
    let planned = Recipe::parse(&text, Path::new("draft.toml")).unwrap().plan(&manifest, &[]).unwrap();
    (text, planned)
}

/// Drafts a recipe, asserts that each tensor gets its expected spec, and returns the draft. `tensors` contains the
/// name, the shape and the expected spec of each tensor.
fn check(config: Option<&str>, tensors: &[(&str, &[usize], &str)]) -> String {
    let shapes: Vec<(&str, &[usize])> = tensors.iter().map(|(name, shape, _)| (*name, *shape)).collect();
    let (text, planned) = draft(config, &shapes);
    for (name, _, expected) in tensors {
        let planned = planned.iter().find(|planned| planned.entry.name == *name).unwrap();
        assert_eq!(planned.action.to_string(), *expected, "{name}\n{text}");
    }
    text
}

/// Returns a boolean for each rule of a draft: true if the comment above the rule begins with CHECK.
fn checks(text: &str) -> Vec<bool> {
    let lines: Vec<&str> = text.lines().collect();
    let rules = lines.windows(2).filter(|pair| pair[1].starts_with('"'));
    rules.map(|pair| pair[0].starts_with("# CHECK ")).collect()
}

/// Returns true if no rule of a draft is marked with CHECK.
fn is_certain(text: &str) -> bool {
    checks(text).iter().all(|check| !check)
}

const TIME_STEP: &str = "softplus_inverse(log_uniform(a=0.001, b=0.1))";
const MAMBA: &[(&str, &[usize], &str)] = &[
    ("backbone.layers.0.mixer.A_log", &[32, 16], "log(arange(start=1, end=17))"),
    ("backbone.layers.0.mixer.D", &[32], "ones"),
    ("backbone.layers.0.mixer.dt_proj.weight", &[32, 4], "uniform(a=-0.5, b=0.5)"),
    ("backbone.layers.0.mixer.dt_proj.bias", &[32], TIME_STEP),
    ("backbone.layers.0.mixer.out_proj.weight", &[8, 16], "kaiming_uniform(a=2.23606797749979)"),
    ("backbone.layers.0.mixer.conv1d.bias", &[32], "zeros"),
    ("backbone.layers.0.norm.weight", &[16], "ones"),
    ("backbone.embeddings.weight", &[100, 16], "normal(std=0.1)"),
];

#[test]
fn the_draft_of_mamba_has_its_decays_and_time_steps() {
    let text = check(Some(r#"{"model_type": "mamba", "initializer_range": 0.1}"#), MAMBA);
    assert!(is_certain(&text) && text.contains("initializer_range = 0.1 # config.json"), "{text}");
    let text = check(
        Some(r#"{"model_type": "mamba2"}"#),
        &[
            ("backbone.layers.0.mixer.A_log", &[8], "log(arange(start=1, end=9))"),
            ("backbone.layers.0.mixer.dt_bias", &[8], TIME_STEP),
            ("backbone.layers.0.mixer.D", &[8], "ones"),
        ],
    );
    assert!(is_certain(&text), "{text}");
}

#[test]
fn an_option_that_changes_the_initialization_makes_the_draft_a_guess() {
    let shapes: Vec<_> = MAMBA.iter().map(|(name, shape, _)| (*name, *shape)).collect();
    let (text, _) = draft(Some(r#"{"model_type": "mamba", "rescale_prenorm_residual": true}"#), &shapes);
    assert!(checks(&text).iter().all(|check| *check) && text.contains("fanin does not know mamba"), "{text}");
}

const T5: &[(&str, &[usize], &str)] = &[
    ("shared.weight", &[100, 64], "normal"),
    ("encoder.block.0.layer.0.SelfAttention.q.weight", &[32, 64], "normal(std=0.044194173824159216)"),
    ("encoder.block.0.layer.0.SelfAttention.k.weight", &[32, 64], "normal(std=0.125)"),
    ("encoder.block.0.layer.0.SelfAttention.o.weight", &[64, 32], "normal(std=0.17677669529663687)"),
    ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", &[32, 4], "normal(std=0.125)"),
    ("encoder.block.0.layer.1.DenseReluDense.wo.weight", &[64, 256], "normal(std=0.0625)"),
    ("encoder.block.0.layer.0.layer_norm.weight", &[64], "ones"),
];

#[test]
fn the_draft_of_t5_has_a_std_for_each_projection() {
    let text =
        check(Some(r#"{"model_type": "t5", "d_model": 64, "d_kv": 8, "initializer_factor": 1.0}"#), T5);
    assert!(is_certain(&text), "{text}");
}

#[test]
fn the_draft_reads_stds_and_padding_tokens_from_config_json() {
    let text = check(
        Some(r#"{"model_type": "llama", "hidden_size": 16, "initializer_range": 0.01, "pad_token_id": 3}"#),
        &[
            (
                "model.embed_tokens.weight",
                &[10, 16],
                "blocks(3: normal(std=0.01), 1: zeros, 6: normal(std=0.01))",
            ),
            ("model.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.01)"),
            ("model.norm.weight", &[16], "ones"),
        ],
    );
    assert!(is_certain(&text) && text.contains("follows the class of this model in transformers"), "{text}");
    // If the embedding has no row for the padding token, the rule of the embedding is marked with CHECK.
    let (text, _) = draft(
        Some(r#"{"model_type": "llama", "pad_token_id": 30}"#),
        &[("model.embed_tokens.weight", &[10, 16]), ("model.layers.0.self_attn.q_proj.weight", &[16, 16])],
    );
    assert_eq!(checks(&text), [true, false], "{text}");
}

#[test]
fn the_draft_of_each_family_agrees_with_its_code() {
    let of = |model_type: &str| format!(r#"{{"model_type": "{model_type}"}}"#);
    let texts = [
        check(
            Some(&of("gemma")),
            &[
                ("model.layers.0.input_layernorm.weight", &[16], "zeros"),
                ("model.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.02)"),
                ("model.norm.weight", &[16], "zeros"),
            ],
        ),
        check(
            Some(&of("gpt_oss")),
            &[
                ("model.layers.0.mlp.experts.gate_up_proj", &[4, 64, 16], "normal(std=0.02)"),
                ("model.layers.0.mlp.experts.gate_up_proj_bias", &[4, 64], "zeros"),
                ("model.layers.0.mlp.router.bias", &[4], "normal(std=0.02)"),
                ("model.layers.0.self_attn.sinks", &[4], "normal(std=0.02)"),
            ],
        ),
        check(
            Some(&of("bart")),
            &[
                ("final_logits_bias", &[1, 100], "zeros"),
                ("model.encoder.layers.0.fc1.weight", &[32, 16], "normal(std=0.02)"),
            ],
        ),
        check(
            Some(&of("clip")),
            &[
                ("vision_model.embeddings.class_embedding", &[16], "normal(std=0.25)"),
                ("vision_model.encoder.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.125)"),
                ("vision_model.encoder.layers.1.self_attn.q_proj.weight", &[16, 16], "normal(std=0.125)"),
                ("vision_model.encoder.layers.0.mlp.fc2.weight", &[16, 64], "normal(std=0.125)"),
            ],
        ),
        check(
            Some(&of("swin")),
            &[(
                "swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table",
                &[169, 3],
                "zeros",
            )],
        ),
        check(
            Some(&of("convnext")),
            &[("convnext.encoder.stages.0.layers.0.layer_scale_parameter", &[96], "constant(val=0.000001)")],
        ),
        check(
            Some(r#"{"architecture": "resnet50"}"#),
            &[
                ("layer1.0.bn3.weight", &[16], "zeros"),
                ("layer1.0.bn2.weight", &[16], "ones"),
                ("fc.bias", &[10], "linear_default_bias(fan_in=16)"),
                ("fc.weight", &[10, 16], "kaiming_uniform(a=2.23606797749979)"),
            ],
        ),
    ];
    for text in texts {
        assert!(is_certain(&text), "{text}");
    }
    // A draft for a checkpoint copies the sinusoids of the encoder. A manifest has no values to copy, so this draft
    // skips the tensor, and marks the rule with CHECK.
    let whisper: &[(&str, &[usize], &str)] = &[
        ("model.encoder.embed_positions.weight", &[1500, 16], "skip"),
        ("model.decoder.embed_positions.weight", &[448, 16], "normal(std=0.02)"),
        ("model.encoder.conv1.weight", &[16, 80, 3], "normal(std=0.02)"),
    ];
    assert_eq!(checks(&check(Some(&of("whisper")), whisper)), [true, false, false], "whisper");
}

#[test]
fn the_layers_of_a_pruned_model_of_timm_keep_the_default_initialization_of_torch() {
    let shapes: [&[usize]; 4] = [&[40, 3, 3, 3], &[10, 40, 1, 1], &[10], &[40]];
    let tensors = |convolution, bias| {
        [
            ("conv_stem.weight", shapes[0], convolution),
            ("blocks.0.0.se.conv_reduce.weight", shapes[1], convolution),
            ("blocks.0.0.se.conv_reduce.bias", shapes[2], bias),
            ("bn1.weight", shapes[3], "ones"),
            ("bn1.bias", shapes[3], "zeros"),
        ]
    };
    let pruned = tensors("kaiming_uniform(a=2.23606797749979)", "linear_default_bias(fan_in=40)");
    for name in ["efficientnet_b3_pruned", "ecaresnet50d_pruned"] {
        let text = check(Some(&format!(r#"{{"architecture": "{name}"}}"#)), &pruned);
        assert!(is_certain(&text), "{name}\n{text}");
    }
    let whole = tensors("kaiming_normal(mode=fan_out, nonlinearity=relu)", "zeros");
    assert!(is_certain(&check(Some(r#"{"architecture": "efficientnet_b3"}"#), &whole)));
}

#[test]
fn the_text_model_of_blip_has_a_row_of_zeros_for_the_padding_token() {
    let config = r#"{"model_type": "blip", "text_config": {"initializer_range": 0.01, "pad_token_id": 0}}"#;
    let padded = "blocks(1: zeros, 9: normal(std=0.01))";
    let text = check(
        Some(config),
        &[
            // Only the name of the text decoder's embedding contains `bert`.
            ("text_model.embeddings.word_embeddings.weight", &[10, 4], padded),
            ("text_encoder.embeddings.word_embeddings.weight", &[10, 4], padded),
            ("text_decoder.bert.embeddings.word_embeddings.weight", &[10, 4], padded),
            ("text_model.embeddings.position_embeddings.weight", &[10, 4], "normal(std=0.01)"),
        ],
    );
    assert!(is_certain(&text), "{text}");
    // The BLIP family has no rule for `text_projection`. The draft therefore guesses a rule, and marks the rule with
    // CHECK.
    let (text, _) = draft(Some(config), &[("text_projection.weight", &[4, 4])]);
    assert_eq!(checks(&text), [true], "{text}");
}

#[test]
fn a_field_that_config_json_does_not_have_has_the_default_of_the_model_type() {
    let embedding = |token: Option<usize>| match token {
        None => "normal(std=0.02)".to_owned(),
        Some(0) => "blocks(1: zeros, 9: normal(std=0.02))".to_owned(),
        Some(token) => {
            format!("blocks({token}: normal(std=0.02), 1: zeros, {}: normal(std=0.02))", 9 - token)
        }
    };
    for (model_type, token) in
        [("llama", None), ("olmo2", Some(1)), ("cohere", Some(0)), ("bart", Some(1)), ("blenderbot", Some(0))]
    {
        let config = format!(r#"{{"model_type": "{model_type}"}}"#);
        let text = check(Some(&config), &[("model.embed_tokens.weight", &[10, 4], &embedding(token))]);
        assert!(is_certain(&text), "{text}");
    }
    let config = r#"{"model_type": "starcoder2"}"#;
    check(Some(config), &[("model.layers.0.mlp.c_fc.weight", &[8, 4], "normal(std=0.018042)")]);
}

#[test]
fn models_of_timm_with_gates_or_groups_have_their_own_rules() {
    // `shape` is the shape of one block, so the number of rows of the weight is 2*shape[0].
    let bound = "sqrt(6/(2*shape[0]+shape[1]))";
    let gated = format!("blocks(uniform(a=-{bound}, b={bound}), normal(std=0.000001))");
    let text = check(
        Some(r#"{"architecture": "gmixer_12_224"}"#),
        &[
            ("blocks.0.mlp_tokens.fc1.weight", &[8, 8], &gated),
            ("blocks.0.mlp_tokens.fc1.bias", &[8], "blocks(normal(std=0.000001), ones)"),
            ("blocks.0.mlp_tokens.fc2.weight", &[8, 4], "xavier_uniform"),
            ("blocks.0.mlp_tokens.fc2.bias", &[8], "normal(std=0.000001)"),
        ],
    );
    assert!(is_certain(&text), "{text}");
    // The shape of a convolution with groups does not give the number of groups.
    let grouped: Tensors<'_> = &[("blocks.1.1.conv_exp.weight", &[192, 16, 3, 3])];
    for (name, check) in [("mobilenet_edgetpu_100", false), ("mobilenet_edgetpu_v2_s", true)] {
        let (text, _) = draft(Some(&format!(r#"{{"architecture": "{name}"}}"#)), grouped);
        assert_eq!(checks(&text), [check], "{name}\n{text}");
    }
    let block: Tensors<'_> = &[("stages.0.1.conv_kxk.conv.weight", &[128, 32, 3, 3])];
    for (name, check) in [("repvgg_b1", false), ("repvgg_b1g4", true)] {
        let (text, _) = draft(Some(&format!(r#"{{"architecture": "{name}"}}"#)), block);
        assert_eq!(checks(&text), [check], "{name}\n{text}");
    }
}

#[test]
fn without_config_json_the_names_of_tensors_identify_a_family() {
    let text = check(
        None,
        &[
            ("model.layers.0.pre_feedforward_layernorm.weight", &[16], "zeros"),
            ("model.layers.0.post_feedforward_layernorm.weight", &[16], "zeros"),
            ("model.layers.0.self_attn.q_norm.weight", &[16], "zeros"),
            ("model.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.02)"),
        ],
    );
    assert!(text.contains("names and shapes only, which are like those of Gemma"), "{text}");
    assert!(text.contains("initializer_range = 0.02 # CHECK"), "{text}");
}

#[test]
fn parameters_with_well_known_names_have_their_usual_specs() {
    let text = check(
        None,
        &[
            ("q_proj.lora_A.default.weight", &[4, 16], "kaiming_uniform(a=2.23606797749979)"),
            ("q_proj.lora_B.default.weight", &[16, 4], "zeros"),
            ("embed_tokens.lora_embedding_A.default", &[4, 100], "zeros"),
            ("embed_tokens.lora_embedding_B.default", &[16, 4], "normal"),
        ],
    );
    assert!(is_certain(&text), "{text}");
    let text = check(
        None,
        &[
            (
                "conv.parametrizations.weight.original1",
                &[8, 4, 3],
                "kaiming_normal(mode=fan_out, nonlinearity=relu)",
            ),
            ("conv.parametrizations.weight.original0", &[8, 1, 1], "ones"),
        ],
    );
    assert!(!is_certain(&text), "{text}");
}

#[test]
fn rules_of_unknown_models_are_marked_with_check() {
    let (text, _) = draft(
        None,
        &[
            ("net.0.attention.w.weight", &[16, 16]),
            ("net.0.attention.dt_proj.bias", &[16]),
            ("net.0.norm.weight", &[16]),
            ("net.0.norm.bias", &[16]),
            ("net.0.embedding.weight", &[100, 16]),
        ],
    );
    assert!(checks(&text).iter().all(|check| *check), "{text}");
    let (text, _) =
        draft(Some(r#"{"model_type": "unheard_of"}"#), &[("fc.weight", &[16, 16]), ("fc.bias", &[16])]);
    assert!(checks(&text).iter().all(|check| *check), "{text}");
    assert!(text.contains("fanin does not know unheard_of, which config.json names"), "{text}");
}

#[test]
fn the_index_the_shards_and_config_json_beside_a_file_are_read() {
    let fixture = Fixture::new();
    let tensors: Tensors<'_> = &[("model.layers.0.mlp.up.weight", &[8, 16]), ("model.norm.weight", &[16])];
    std::fs::write(fixture.path("like.json"), manifest_json(tensors)).unwrap();
    std::fs::write(fixture.path("all.toml"), "[init]\n\"*\" = \"zeros\"\n").unwrap();
    let shards = ["init", "all.toml", "--like", "like.json", "--max-shard-size", "520", "-o", "model"];
    fixture.good(&shards);
    let shard = "model/model-00001-of-00002.safetensors";
    let draft = |file: &str| fixture.good(&["recipe", file]).stdout;
    // The draft is for the whole model, even if the argument is only one shard.
    for file in [shard, "model", "model/model.safetensors.index.json"] {
        let text = draft(file);
        assert!(text.contains("2 tensors") && text.contains("model.norm.weight"), "{text}");
        assert!(!text.contains("config.json names"), "{text}");
    }
    let write = |text: &str| std::fs::write(fixture.path("model/config.json"), text).unwrap();
    write(r#"{"model_type": "qwen3", "hidden_size": 16, "initializer_range": 0.5}"#);
    let text = draft(shard);
    assert!(
        text.contains("config.json names qwen3") && text.contains("initializer_range = 0.5 # config.json"),
        "{text}"
    );
    for (content, needle) in [
        ("{", "# CHECK config.json is not used: it is not JSON"),
        ("[]", "# CHECK config.json is not used: it has neither"),
        (
            r#"{"model_type": "qwen3", "hidden_size": 4096}"#,
            "no tensor has an axis of size hidden_size = 4096",
        ),
    ] {
        write(content);
        let text = draft(shard);
        assert!(text.contains(needle) && checks(&text).iter().all(|check| *check), "{text}");
    }
    std::fs::remove_file(fixture.path("model/config.json")).unwrap();
    std::fs::remove_file(fixture.path("model/model-00002-of-00002.safetensors")).unwrap();
    let text = draft(shard);
    assert!(
        text.contains("1 tensor,") && text.contains("# CHECK model.safetensors.index.json is not used"),
        "{text}"
    );
    std::fs::write(fixture.path("model/model.safetensors.index.json"), "{").unwrap();
    assert!(draft(shard).contains("not the index of a sharded checkpoint"));
}
