//! Proposes the specs of a draft for tensors of three or more axes. Most of these tensors are kernels of convolutions.

use super::choice::{Choice, Section, guess, known};
use super::words::{contains, has};
use crate::manifest::Entry;

/// Returns the [`Choice`] for a tensor of three or more axes: the spec that the draft proposes, and the reason. `last`
/// is the part of the tensor's name after the last dot.
pub(super) fn kernel(entry: &Entry, last: &str, has_attention: bool) -> Choice {
    let name = &entry.name;
    let learned_vectors =
        ["token", "pos_embed", "position_embedding", "pos_emb", "embedding", "query_tokens", "prompt"];
    if contains(last, &learned_vectors) {
        let reason = "learned tokens and positions: N(0, 0.02) as in ViT";
        return known(Section::Embeddings, "normal(std=0.02)", reason);
    }
    if contains(name, &["expert"]) {
        let reason = "matrices of several experts in one tensor, whose fans are not those of one matrix";
        return guess(Section::Matrices, "normal(std=0.02)", reason);
    }
    if last == "kernel" {
        let reason =
            "named kernel, so [kernel positions, in, out] as in Keras and Flax; for a layer before a ReLU";
        return guess(
            Section::Convolutions,
            "kaiming_normal(nonlinearity=relu, layout=kernel_in_out)",
            reason,
        );
    }
    if entry.shape.len() > 5 {
        return guess(Section::Others, "normal(std=0.02)", "more axes than a convolution has");
    }
    if has(name, &["deconv", "upconv", "transpose", "transposed", "convtranspose", "up"]) {
        let reason = "transposed by its name, so [in, out, kernel positions]; with a stride, fewer positions \
                      contribute to each output";
        return guess(Section::Convolutions, "kaiming_normal(nonlinearity=relu, layout=in_out)", reason);
    }
    if last == "in_proj_weight" || (entry.shape.len() == 3 && entry.shape[2] > 64) {
        let reason = "three axes, and the last one is longer than a kernel";
        return guess(Section::Others, "normal(std=0.02)", reason);
    }
    if entry.shape[1] == 1 && entry.shape[0] > 1 {
        let reason = "one input channel per filter, so depthwise or the first layer: by fan_in, because fan_out \
                      would count all groups";
        return known(Section::Convolutions, "kaiming_normal(mode=fan_in, nonlinearity=relu)", reason);
    }
    if has_attention {
        let reason = "convolutions of a transformer (patches): torch's default, which timm keeps";
        return guess(Section::Convolutions, "kaiming_uniform(a=sqrt(5))", reason);
    }
    let reason = "He et al. 2015, equation 14, as in ResNets; mode=fan_in keeps the forward variance instead";
    known(Section::Convolutions, "kaiming_normal(mode=fan_out, nonlinearity=relu)", reason)
}
