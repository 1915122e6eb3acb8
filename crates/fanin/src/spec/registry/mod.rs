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

/// Pairs of a synonym and the name of its scheme.
///
/// `lora_a` and `lora_b` initialize the matrices A and B of LoRA, as loralib and peft do. `lora_a` is uniform, as in
/// the authors' code. The paper has a Gaussian A (Hu et al. 2021, arXiv 2106.09685, section 4.1).
const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];

impl Scheme {
    /// Returns the scheme of this name. The name can be a synonym, such as `lora_a`, and can end with torch's
    /// underscore. Returns `None` if there is no such scheme.
    ///
    /// ```
    /// assert_eq!(fanin::spec::Scheme::find("normal_").unwrap().signature(), "normal(mean=0, std=1)");
    /// ```
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = canonical(name);
        schemes().iter().find(|scheme| scheme.name == name)
    }

    /// Returns the synonyms that a spec can use for this scheme, such as `lora_a`. Torch's names with an underscore,
    /// such as `normal_`, are not included.
    pub fn synonyms(&self) -> impl Iterator<Item = &'static str> {
        ALIASES.iter().filter(|(_, name)| *name == self.name).map(|(synonym, _)| *synonym)
    }
}

/// Converts a name in a spec to the name of its scheme: `normal_` to `normal`, and `lora_b` to `zeros`.
pub(super) fn canonical(name: &str) -> &str {
    let bare = name.strip_suffix('_').unwrap_or(name);
    ALIASES.iter().find(|(alias, _)| *alias == bare).map_or(bare, |(_, name)| name)
}
