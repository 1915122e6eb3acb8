//! Proposes the specs of a draft for tensors of one axis, and for scalars.

use super::choice::{Choice, Section, guess, known};
use super::words::{contains, has, split_last};
use crate::manifest::Entry;

/// Returns the [`Choice`] for a vector or a scalar with the name `{path}.{last}`: the spec that the draft proposes, and
/// the reason. `has_sibling(name)` must return true if the module `path` also has a tensor `name`.
pub(super) fn vector(entry: &Entry, path: &str, last: &str, has_sibling: impl Fn(&str) -> bool) -> Choice {
    let name = &entry.name;
    let is_norm = contains(path, &["norm", "layernorm", "rms"])
        || has(path, &["ln", "bn", "gn", "norm", "layernorm"])
        || contains(split_last(path).1, &["ln_", "bn"]);
    if contains(last, &["logit_scale"]) {
        return guess(Section::Norms, "constant(log(1/0.07))", "as in CLIP");
    }
    if contains(last, &["layer_scale", "lambda"])
        || (contains(last, &["gamma"])
            && (has(path, &["ls"]) || contains(last, &["gamma_", "gamma1", "gamma2"])))
    {
        return guess(
            Section::Norms,
            "constant(1e-5)",
            "layer scale (Touvron et al. 2021): 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond",
        );
    }
    if contains(name, &["prelu"]) {
        return known(Section::Norms, "constant(0.25)", "slopes of PReLU, as in He et al. 2015 and torch");
    }
    if ["dt_bias", "A_log", "D"].contains(&last) {
        return guess(
            Section::Others,
            match last {
                "D" => "ones",
                "dt_bias" => "softplus_inverse(log_uniform(0.001, 0.1))",
                _ => "log(uniform(1, 16))",
            },
            "parameter of a state space model, as in Mamba 2",
        );
    }
    if contains(split_last(path).1, &["dt_proj"]) && last == "bias" {
        return guess(
            Section::Others,
            "softplus_inverse(log_uniform(0.001, 0.1))",
            "time steps of a state space model, as in Mamba",
        );
    }
    if contains(last, &["bias"]) || ["b", "beta", "offset"].contains(&last) {
        if last.starts_with("bias_ih") || last.starts_with("bias_hh") {
            return known(
                Section::Biases,
                "zeros",
                "biases of recurrent layers; the biases of an LSTM's forget gate, a part of this vector, are often 1",
            );
        }
        return known(Section::Biases, "zeros", "biases");
    }
    let is_gain = ["weight", "gamma", "scale", "g", "w", "gain"].contains(&last);
    if is_gain && (is_norm || has_sibling("running_var") || has_sibling("beta")) {
        return known(Section::Norms, "ones", "gains of norms");
    }
    if is_gain {
        return guess(Section::Norms, "ones", "a vector of this name usually is the gain of a norm");
    }
    if is_norm {
        return guess(
            Section::Norms,
            "ones",
            "belongs to a norm, and its name does not look like the name of a bias",
        );
    }
    if contains(last, &["token", "embed", "query"]) {
        return guess(Section::Embeddings, "normal(std=0.02)", "learned vectors: N(0, 0.02) as in ViT");
    }
    guess(Section::Others, "zeros", "vectors of unknown meaning")
}
