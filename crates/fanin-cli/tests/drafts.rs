//! Tests that drafts of recipes for known families of models agree with the code of these models.

use std::path::Path;

use fanin_recipe::{Manifest, Planned, Recipe};

/// Returns the draft for tensors with these names and shapes, and the plan of the draft.
fn draft(tensors: &[(&str, &[usize])]) -> (String, Vec<Planned>) {
    let json: serde_json::Map<String, serde_json::Value> = tensors
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), serde_json::json!({ "dtype": "F32", "shape": shape })))
        .collect();
    let manifest =
        Manifest::from_json(&serde_json::Value::from(json).to_string(), Path::new("m.json")).unwrap();
    let text = fanin_recipe::recipe::draft::draft(&manifest, "m.json").unwrap();
    let planned = Recipe::parse(&text, Path::new("draft.toml")).unwrap().plan(&manifest, &[]).unwrap();
    (text, planned)
}

/// Asserts that the draft gives each tensor the expected action. Returns the text of the draft.
fn check(tensors: &[(&str, &[usize], &str)]) -> String {
    let shapes: Vec<(&str, &[usize])> = tensors.iter().map(|(name, shape, _)| (*name, *shape)).collect();
    let (text, planned) = draft(&shapes);
    for (name, _, expected) in tensors {
        let planned = planned.iter().find(|planned| planned.entry.name == *name).unwrap();
        assert_eq!(planned.action.to_string(), *expected, "{name}\n{text}");
    }
    text
}

fn normal(std: f64) -> String {
    format!("normal(std={std})")
}

#[test]
fn the_draft_for_mamba_has_the_decays_and_time_steps_of_mamba() {
    const TIME_STEP: &str = "softplus_inverse(log_uniform(a=0.001, b=0.1))";
    let text = check(&[
        ("backbone.layers.0.mixer.A_log", &[32, 16], "log(arange(start=1, end=17))"),
        ("backbone.layers.0.mixer.D", &[32], "ones"),
        ("backbone.layers.0.mixer.dt_proj.weight", &[32, 4], "uniform(a=-0.5, b=0.5)"),
        ("backbone.layers.0.mixer.dt_proj.bias", &[32], TIME_STEP),
        ("backbone.layers.0.mixer.out_proj.weight", &[8, 16], "uniform(a=-0.25, b=0.25)"),
        ("backbone.layers.0.mixer.conv1d.bias", &[32], "linear_default_bias(fan_in=4)"),
        ("backbone.layers.0.mixer.conv1d.weight", &[32, 1, 4], "kaiming_uniform(a=2.23606797749979)"),
        ("backbone.layers.0.norm.weight", &[16], "ones"),
        ("backbone.embeddings.weight", &[100, 16], "normal(std=0.02)"),
    ]);
    assert!(!text.contains("\n# CHECK"), "{text}");
    let text = check(&[
        ("backbone.layers.0.mixer.A_log", &[8], "log(uniform(a=1, b=16))"),
        ("backbone.layers.0.mixer.dt_bias", &[8], TIME_STEP),
        ("backbone.layers.0.mixer.D", &[8], "ones"),
    ]);
    assert!(!text.contains("\n# CHECK"), "{text}");
}

#[test]
fn the_draft_for_t5_scales_matrices_by_fan_in() {
    let text = check(&[
        ("shared.weight", &[100, 64], "normal"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", &[32, 64], &normal(1.0 / (8.0 * 64.0f64).sqrt())),
        ("encoder.block.0.layer.0.SelfAttention.k.weight", &[32, 64], &normal(0.125)),
        ("encoder.block.0.layer.0.SelfAttention.o.weight", &[64, 32], &normal(1.0 / 32f64.sqrt())),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", &[32, 4], &normal(0.125)),
        ("encoder.block.0.layer.1.DenseReluDense.wo.weight", &[64, 256], &normal(0.0625)),
        ("encoder.block.0.layer.0.layer_norm.weight", &[64], "ones"),
    ]);
    assert!(!text.lines().any(|line| line.starts_with("# CHECK ") && !line.contains("tied")), "{text}");
}

#[test]
fn drafts_for_other_families_agree_with_the_code_of_the_models() {
    check(&[
        ("rwkv.blocks.0.attention.time_decay", &[8], "skip"),
        ("rwkv.blocks.0.attention.key.weight", &[8, 8], "orthogonal"),
        ("rwkv.blocks.0.feed_forward.key.weight", &[32, 8], "orthogonal(gain=2)"),
        ("rwkv.embeddings.weight", &[100, 4], "orthogonal(gain=0.001)"),
        ("head.weight", &[16, 4], "orthogonal"),
        ("rwkv.blocks.0.ln1.weight", &[8], "ones"),
    ]);
    check(&[
        ("model.encoder.conv1.weight", &[16, 80, 3], "normal(std=0.02)"),
        ("model.encoder.embed_positions.weight", &[1500, 16], "skip"),
        ("model.decoder.embed_positions.weight", &[448, 16], "normal(std=0.02)"),
        ("model.encoder.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.02)"),
        ("model.encoder.layers.0.fc1.bias", &[64], "zeros"),
    ]);
    check(&[
        ("logit_scale", &[], &format!("constant(val={})", libm_log(1.0 / 0.07))),
        ("vision_model.embeddings.class_embedding", &[16], &normal(0.25)),
        ("vision_model.embeddings.patch_embedding.weight", &[16, 3, 4, 4], "normal(std=0.02)"),
        ("vision_model.encoder.layers.0.self_attn.q_proj.weight", &[16, 16], &normal(1.0 / 64f64.sqrt())),
        ("vision_model.encoder.layers.1.self_attn.q_proj.weight", &[16, 16], &normal(1.0 / 64f64.sqrt())),
        ("vision_model.encoder.layers.0.self_attn.out_proj.weight", &[16, 16], &normal(0.25)),
        ("vision_model.encoder.layers.0.mlp.fc1.weight", &[64, 16], &normal(1.0 / 32f64.sqrt())),
        ("vision_model.encoder.layers.0.mlp.fc2.weight", &[16, 64], &normal(0.125)),
        ("text_projection.weight", &[16, 16], &normal(0.25)),
    ]);
    check(&[
        (
            "swin.encoder.layers.0.blocks.0.attention.self.relative_position_bias_table",
            &[169, 3],
            "trunc_normal(std=0.02)",
        ),
        ("swin.encoder.layers.0.blocks.0.attention.self.query.weight", &[96, 96], "trunc_normal(std=0.02)"),
        (
            "swin.embeddings.patch_embeddings.projection.weight",
            &[96, 3, 4, 4],
            "kaiming_uniform(a=2.23606797749979)",
        ),
    ]);
    check(&[
        ("convnext.encoder.stages.0.layers.0.dwconv.weight", &[96, 1, 7, 7], "trunc_normal(std=0.02)"),
        ("convnext.encoder.stages.0.layers.0.layer_scale_parameter", &[96], "constant(val=0.000001)"),
        ("convnext.encoder.stages.0.layers.0.pwconv1.weight", &[384, 96], "trunc_normal(std=0.02)"),
    ]);
    check(&[
        ("model.query_position_embeddings.weight", &[100, 16], "normal(std=0.02)"),
        ("model.decoder.layers.0.encoder_attn.k_proj.weight", &[16, 16], "normal(std=0.02)"),
    ]);
    check(&[
        ("transformer.decoder.layers.0.linear1.weight", &[64, 16], "xavier_uniform"),
        ("query_embed.weight", &[100, 16], "normal"),
        ("class_embed.weight", &[92, 16], "kaiming_uniform(a=2.23606797749979)"),
    ]);
    let gemma = check(&[
        ("model.layers.0.pre_feedforward_layernorm.weight", &[16], "zeros"),
        ("model.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.02)"),
        ("model.norm.weight", &[16], "zeros"),
    ]);
    let mixtral = check(&[
        ("model.layers.0.self_attn.q_proj.weight", &[16, 16], "normal(std=0.02)"),
        ("model.layers.0.block_sparse_moe.experts.0.w1.weight", &[32, 16], "normal(std=0.02)"),
        ("model.layers.0.mlp.experts.gate_up_proj", &[4, 64, 16], "normal(std=0.02)"),
        ("model.layers.0.mlp.gate.weight", &[4, 16], "normal(std=0.02)"),
        ("model.layers.0.mlp.gate.e_score_correction_bias", &[4], "zeros"),
        ("model.layers.0.self_attn.q_norm.weight", &[16], "ones"),
    ]);
    for text in [gemma, mixtral] {
        assert!(!text.contains("\n# CHECK"), "{text}");
    }
}

fn libm_log(x: f64) -> f64 {
    x.ln()
}

#[test]
fn guesses_in_a_draft_are_marked_with_check() {
    let (text, _) = draft(&[
        ("net.0.attention.w.weight", &[16, 16]),
        ("net.0.attention.dt_proj.bias", &[16]),
        ("net.0.embedding.weight", &[100, 16]),
    ]);
    let lines: Vec<&str> = text.lines().collect();
    for rule in lines.windows(2).filter(|pair| pair[1].starts_with('"')) {
        assert!(rule[0].starts_with("# CHECK "), "{text}");
    }
}
