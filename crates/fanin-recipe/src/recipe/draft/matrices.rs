//! Proposes the specs of a draft for tensors of two axes.

use super::choice::{Choice, Section, guess, known};
use super::words::{contains, has, has_layer, is_residual_projection, split_last};
use crate::manifest::Entry;

/// Returns the [`Choice`] for a matrix: the spec that the draft proposes, and the reason. `path` and `last` are the
/// parts of the tensor's name before and after the last dot.
pub(super) fn matrix(entry: &Entry, path: &str, last: &str, has_attention: bool) -> Choice {
    let name = &entry.name;
    let module = split_last(path).1;
    if last.starts_with("weight_ih") {
        return known(Section::Recurrent, "xavier_uniform", "input to hidden: Glorot, as in Keras");
    }
    if last.starts_with("weight_hh") {
        let reason = "hidden to hidden: orthogonal (Saxe et al. 2013), as in Keras";
        return known(Section::Recurrent, "orthogonal", reason);
    }
    let is_embedding = has(name, &["embed", "embedding", "embeddings", "wte", "wpe"])
        || contains(module, &["embed"])
        || contains(last, &["embed", "pos_emb", "token"]);
    if contains(name, &["relative_attention_bias", "relative_position_bias"]) {
        let reason =
            "relative position biases; Swin uses a truncated N(0, 0.02), and T5 uses a different std";
        return guess(Section::Embeddings, "normal(std=0.02)", reason);
    }
    if is_embedding && !contains(module, &["proj", "conv", "dense", "linear", "fc", "mlp"]) {
        return if has_attention {
            let reason = "N(0, 0.02) as in GPT-2, BERT and ViT; torch's Embedding uses N(0, 1)";
            known(Section::Embeddings, "normal(std=0.02)", reason)
        } else {
            let reason = "N(0, 1), torch's default for Embedding; use 0.02 if it is also the output matrix";
            guess(Section::Embeddings, "normal", reason)
        };
    }
    if last == "kernel" {
        let reason = "named kernel, so [in, out] as in Keras and Flax: N(0, 1/fan_in), LeCun's";
        return guess(Section::Matrices, "kaiming_normal(nonlinearity=linear, layout=kernel_in_out)", reason);
    }
    if is_residual_projection(name) && has_attention {
        let reason = "GPT-2, section 2.3: scaled down by the number of residual sums";
        return known(Section::Residual, "normal(std=0.02/sqrt(2*n_layer))", reason);
    }
    let is_head = has(name, &["head", "classifier", "score", "logits", "output", "decoder", "fc"])
        || contains(name, &["lm_head"]);
    match (is_head && !has_layer(name), has_attention) {
        (true, true) => known(Section::Heads, "normal(std=0.02)", "output, as the other matrices"),
        (true, false) => guess(
            Section::Heads,
            "normal(std=0.01)",
            "output, small as in Goyal et al. 2017, so that the first predictions are near chance; torch's Linear \
             uses kaiming_uniform(a=sqrt(5))",
        ),
        (false, true) => known(
            Section::Matrices,
            "normal(std=0.02)",
            "attention and MLP: N(0, 0.02) as in GPT, BERT and Llama; std=1/sqrt(fan_in) scales with the width",
        ),
        (false, false) => guess(
            Section::Matrices,
            "kaiming_normal(nonlinearity=relu)",
            "for a layer before a ReLU (He et al. 2015, equation 10); xavier_uniform before tanh, \
             kaiming_uniform(a=sqrt(5)) is torch's default",
        ),
    }
}
