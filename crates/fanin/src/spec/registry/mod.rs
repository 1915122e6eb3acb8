//! The registry of schemes: the parameters in torch's order, the formula and the source of each scheme.

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

/// Synonyms of schemes, each with the name of the scheme. These two initialize the matrices A and B of LoRA as loralib
/// and peft do. (Hu et al. 2021, arXiv 2106.09685, section 4.1, initialize A from a Gaussian. The authors' code uses a
/// uniform distribution, and so does `lora_a`.)
pub(super) const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];
