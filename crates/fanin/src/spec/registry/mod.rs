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
const ALIASES: [(&str, &str); 2] = [("lora_a", "linear_default"), ("lora_b", "zeros")];

impl Scheme {
    /// Returns the scheme of this name. The name can be a synonym, such as `lora_a`, and can end with torch's underscore.
    /// Returns `None` if there is no such scheme.
    ///
    /// ```
    /// assert_eq!(fanin::spec::Scheme::find("normal_").unwrap().signature(), "normal(mean=0, std=1)");
    /// ```
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = canonical(name);
        schemes().iter().find(|scheme| scheme.name == name)
    }

    /// Returns the synonyms that a spec can use for this scheme, such as `lora_a`. Names that differ only by torch's
    /// underscore at the end are not included.
    pub fn synonyms(&self) -> impl Iterator<Item = &'static str> {
        ALIASES.iter().filter(|(_, name)| *name == self.name).map(|(synonym, _)| *synonym)
    }
}

/// Returns the name of the scheme that a spec calls `name`: removes torch's underscore at the end, and replaces a
/// synonym by the name of the scheme.
pub(super) fn canonical(name: &str) -> &str {
    let bare = name.strip_suffix('_').unwrap_or(name);
    ALIASES.iter().find(|(alias, _)| *alias == bare).map_or(bare, |(_, name)| name)
}
