//! The section `[tie]` of a recipe. Each line ties a tensor to another tensor, so that both have the same values.

use std::collections::HashMap;

use super::source::Span;
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::manifest::{Entry, Manifest};

/// A line of `[tie]`: the tensor `alias` has the values of the tensor `canonical`.
#[derive(Debug, Clone)]
pub(super) struct Tie {
    pub(super) alias: String,
    /// The name of the canonical tensor. `None` for a line `alias = false`, which removes a tie of the base recipe.
    pub(super) canonical: Option<String>,
    pub(super) span: Span,
    pub(super) inherited: bool,
}

/// Returns an error if the canonical name of a tie is also the alias of a tie.
pub(super) fn check_ties(ties: &[Tie]) -> Result {
    for tie in ties {
        let Some(canonical) = &tie.canonical else { continue };
        if *canonical == tie.alias {
            return Err(tie.span.error(format!("{canonical:?} is tied to itself"), "remove this line"));
        }
        let next = ties.iter().find(|next| next.alias == *canonical);
        if let Some(last) = next.and_then(|next| next.canonical.as_ref()) {
            let message = format!("{canonical:?} cannot have aliases, because it is tied to {last:?}");
            let remedy = if *last == tie.alias {
                "remove one of the two lines".to_owned()
            } else {
                format!("tie {:?} to {last:?}", tie.alias)
            };
            return Err(tie.span.error(message, remedy));
        }
    }
    Ok(())
}

/// Returns the tie of each tensor of the manifest, or `None` for a tensor that is not an alias. Also returns
/// diagnostics about unused ties, and about ties of tensors with different shapes.
pub(super) fn ties_of<'a>(ties: &'a [Tie], manifest: &Manifest) -> (Vec<Option<&'a Tie>>, Vec<Diagnostic>) {
    let by_alias: HashMap<&str, &Tie> = ties.iter().map(|tie| (tie.alias.as_str(), tie)).collect();
    let entries: HashMap<&str, &Entry> =
        manifest.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let own = ties.iter().filter(|tie| !tie.inherited);
    let mut diagnostics: Vec<Diagnostic> =
        own.filter_map(|tie| unused(tie, |name| entries.contains_key(name))).collect();
    let mut found = Vec::new();
    for entry in &manifest.entries {
        let tie = by_alias.get(entry.name.as_str()).copied().filter(|tie| tie.canonical.is_some());
        let canonical = tie.and_then(|tie| entries.get(tie.canonical.as_deref().unwrap_or_default()));
        if let (Some(tie), Some(canonical)) = (tie, canonical)
            && canonical.shape != entry.shape
        {
            let (alias, name) = (&entry.name, &canonical.name);
            let message = format!(
                "{alias:?} of shape {:?} cannot be tied to {name:?} of shape {:?}: tied tensors must have the same \
                 shape",
                entry.shape, canonical.shape
            );
            diagnostics.push(tie.span.diagnostic(message, "correct the names, or remove this line"));
        }
        found.push(tie);
    }
    (found, diagnostics)
}

/// Returns a diagnostic if neither the alias nor the canonical name is a tensor of the model.
fn unused(tie: &Tie, is_tensor: impl Fn(&str) -> bool) -> Option<Diagnostic> {
    let canonical =
        tie.canonical.as_deref().filter(|canonical| !is_tensor(canonical) && !is_tensor(&tie.alias))?;
    let message = format!("unused tie: neither {:?} nor {canonical:?} is a tensor of this model", tie.alias);
    Some(tie.span.diagnostic(message, "correct the names, or remove this line"))
}
