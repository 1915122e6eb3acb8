//! The registry of schemes. Each entry has the parameters in torch's order, the formula and the source of a scheme.

mod other;
mod shared;
mod torch;

use std::sync::LazyLock;

use super::scheme::Scheme;

/// Returns every scheme that a spec can name. The schemes of torch.nn.init come first, in the order of torch's
/// documentation.
pub fn schemes() -> &'static [Scheme] {
    static ALL: LazyLock<Vec<Scheme>> =
        LazyLock::new(|| torch::TORCH.into_iter().chain(other::OTHER).collect());
    &ALL
}

/// Synonyms of schemes. Each pair is a synonym and the name of the scheme.
///
/// `lora_a` and `lora_b` initialize the matrices A and B of LoRA, as loralib and peft do. The paper (Hu et al. 2021,
/// arXiv 2106.09685, section 4.1) initializes A from a Gaussian distribution. The authors' code uses a uniform
/// distribution instead, and so does `lora_a`.
pub(super) const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];
