//! The schemes that a spec can name: parameters in torch's order, formula, source.

mod beyond;
mod torch;

use std::sync::LazyLock;

use super::scheme::Scheme;

/// Every scheme that a spec can name: torch's in the order of its documentation, then what goes beyond.
pub fn schemes() -> &'static [Scheme] {
    static ALL: LazyLock<Vec<Scheme>> =
        LazyLock::new(|| torch::TORCH.into_iter().chain(beyond::BEYOND).collect());
    &ALL
}

/// Other names of a scheme: LoRA's two matrices as loralib and peft start them (Hu et al. 2021, arXiv 2106.09685, section 4.1,
/// says a Gaussian for A; its authors' code has this).
pub(super) const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];
