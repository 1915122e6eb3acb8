//! What vectors and scalars seem to be.

use super::kinds::{Choice, Section, guess, sure};
use super::words::{contains, ends, has};
use crate::manifest::Entry;

/// Vectors and scalars.
pub(super) fn vector(entry: &Entry, before: &str, last: &str, beside: impl Fn(&str) -> bool) -> Choice {
    let name = &entry.name;
    let norm = contains(before, &["norm", "layernorm", "rms"])
        || has(before, &["ln", "bn", "gn", "norm", "layernorm"])
        || contains(ends(before).1, &["ln_", "bn"]);
    if contains(last, &["logit_scale"]) {
        return guess(Section::Norms, "constant(2.6592600369327783)", "ln(1/0.07), as CLIP");
    }
    if contains(last, &["layer_scale", "lambda"])
        || (contains(last, &["gamma"])
            && (has(before, &["ls"]) || contains(last, &["gamma_", "gamma1", "gamma2"])))
    {
        return guess(
            Section::Norms,
            "constant(1e-5)",
            "layer scale (Touvron et al. 2021): 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond",
        );
    }
    if contains(name, &["prelu"]) {
        return sure(Section::Norms, "constant(0.25)", "slopes of PReLU, as He et al. 2015 and torch");
    }
    if ["dt_bias", "A_log", "D"].contains(&last) {
        return guess(
            Section::Others,
            if last == "D" { "ones" } else { "zeros" },
            "a state space model's: Mamba sets it by a formula of its own",
        );
    }
    if contains(last, &["bias"]) || ["b", "beta", "offset"].contains(&last) {
        if last.starts_with("bias_ih") || last.starts_with("bias_hh") {
            return sure(
                Section::Biases,
                "zeros",
                "biases of recurrent layers; an LSTM's forget gate is often given 1, which needs its slice",
            );
        }
        return sure(Section::Biases, "zeros", "biases");
    }
    let gain = ["weight", "gamma", "scale", "g", "w", "gain"].contains(&last);
    if gain && (norm || beside("running_var") || beside("beta")) {
        return sure(Section::Norms, "ones", "gains of norms");
    }
    if gain {
        return guess(Section::Norms, "ones", "a vector by this name is a norm's gain");
    }
    if norm {
        return guess(Section::Norms, "ones", "in a norm, and no bias by its name");
    }
    if contains(last, &["token", "embed", "query"]) {
        return guess(Section::Embeddings, "normal(std=0.02)", "learned vectors, N(0, 0.02) as ViT");
    }
    guess(Section::Others, "zeros", "vectors of unknown meaning")
}
