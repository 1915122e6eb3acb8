//! The schemes that a spec can name: parameters in torch's order, formula, source.

mod beyond;
mod torch;

use std::sync::LazyLock;

use super::grammar::Arguments;
use super::spec::Init;
use crate::error::SpecError;

/// A scheme as specs know it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Family {
    /// The spec's name: torch's without the underscore.
    pub name: &'static str,
    /// The parameters in torch's order, each with its default; a required one has none.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
    /// What it writes.
    pub formula: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    pub(super) build: fn(&Arguments<'_>) -> Result<Init, SpecError>,
}

/// Every scheme that a spec can name: torch's in the order of its documentation, then what goes beyond.
pub fn families() -> &'static [Family] {
    static ALL: LazyLock<Vec<Family>> =
        LazyLock::new(|| torch::TORCH.into_iter().chain(beyond::BEYOND).collect());
    &ALL
}

/// Other names of a scheme: LoRA's two matrices as loralib and peft start them (Hu et al. 2021, arXiv 2106.09685, section 4.1,
/// says a Gaussian for A; its authors' code has this).
pub(super) const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];
