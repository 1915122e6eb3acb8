//! Canonical names of tensors.

use std::borrow::Cow;

/// Returns the name of a parameter without the path components that PyTorch's wrapper modules add.
///
/// The components `_orig_mod` (torch.compile), `_fsdp_wrapped_module` and `_checkpoint_wrapped_module` are removed
/// wherever they occur. The component `module` (DataParallel, DistributedDataParallel) is removed only at the beginning
/// of the name, or if only removed components precede it. The last component of a name is never removed.
///
/// ```
/// # use fanin::canonical_name;
/// assert_eq!(canonical_name("module._orig_mod.h.0._fsdp_wrapped_module.attn.weight"), "h.0.attn.weight");
/// assert_eq!(canonical_name("encoder.module.weight"), "encoder.module.weight");
/// ```
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
    // Most names contain no wrapper component, and are returned here without further tests.
    if !name.starts_with("module.") && !name.starts_with('_') && !name.contains("._") {
        return Cow::Borrowed(name);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut components = name.split('.').peekable();
    while let Some(component) = components.next() {
        let last = components.peek().is_none();
        let wrapper = WRAPPERS.contains(&component) || (component == "module" && kept.is_empty());
        if last || !wrapper {
            kept.push(component);
        }
    }
    if kept.len() == name.split('.').count() { Cow::Borrowed(name) } else { Cow::Owned(kept.join(".")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wrapper_components_are_removed_from_names() {
        for (name, canonical) in [
            ("", ""),
            ("weight", "weight"),
            ("module", "module"),
            ("module.module.weight", "weight"),
            ("_orig_mod.module.weight", "weight"),
            ("a._checkpoint_wrapped_module.b", "a.b"),
            ("modules.weight", "modules.weight"),
            ("a._orig_mod", "a._orig_mod"),
        ] {
            assert_eq!(canonical_name(name), canonical);
        }
    }
}
