//! The registry of schemes. Each entry has the parameters of a scheme (in torch's order), its formula and its source.

mod other;
mod shared;
mod torch;

use std::sync::LazyLock;

use super::scheme::Scheme;

/// Returns every scheme that a spec can name. The schemes of `torch.nn.init` come first, in the order of torch's
/// documentation.
pub fn schemes() -> &'static [Scheme] {
    static ALL: LazyLock<Vec<Scheme>> =
        LazyLock::new(|| torch::TORCH.into_iter().chain(other::OTHER).collect());
    &ALL
}

/// Synonyms of schemes, as pairs of a synonym and the name of the scheme.
///
/// `lora_a` and `lora_b` initialize the matrices A and B of LoRA, as loralib and peft do. The paper (Hu et al. 2021,
/// arXiv 2106.09685, section 4.1) draws A from a Gaussian distribution. The authors' code draws A from a uniform
/// distribution instead, and `lora_a` does the same.
pub(super) const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];
