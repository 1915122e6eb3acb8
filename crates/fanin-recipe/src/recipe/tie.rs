//! `[tie]`: one tensor under several names.

use super::Recipe;
use super::diagnostic::{Diagnostic, Span};
use crate::error::Result;
use crate::manifest::{Entry, Manifest};

/// A second name of a tensor.
#[derive(Debug, Clone)]
pub(super) struct Tie {
    /// The second name.
    pub(super) alias: String,
    /// The name whose values it has; none unties it from what a base says.
    pub(super) canonical: Option<String>,
    pub(super) span: Span,
    pub(super) inherited: bool,
}

impl Recipe {
    /// Refuses ties that lead to another tie: each second name names the first.
    pub(super) fn check_ties(&self) -> Result {
        for tie in &self.ties {
            let Some(canonical) = &tie.canonical else { continue };
            if *canonical == tie.alias {
                return Err(tie.span.error(format!("{canonical:?} is tied to itself"), "remove this line"));
            }
            let next = self.ties.iter().find(|next| next.alias == *canonical);
            if let Some(first) = next.and_then(|next| next.canonical.as_ref()) {
                let message = format!("{canonical:?} is tied itself, to {first:?}");
                let remedy = if *first == tie.alias {
                    "one of the two names is the first: remove the other line".to_owned()
                } else {
                    format!("tie {:?} to {first:?}", tie.alias)
                };
                return Err(tie.span.error(message, remedy));
            }
        }
        Ok(())
    }

    /// The name by which a tensor goes: the first of its names, where it is tied.
    pub fn first_name<'a>(&'a self, name: &'a str) -> &'a str {
        let tie = self.ties.iter().find(|tie| tie.alias == name);
        tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(name)
    }

    /// The tie of each tensor that is the second of its names, and what is wrong with the ties.
    pub(super) fn ties_of<'a>(&'a self, manifest: &Manifest) -> (Vec<Option<&'a Tie>>, Vec<Diagnostic>) {
        let by_name: std::collections::HashMap<&str, &Tie> =
            self.ties.iter().map(|tie| (tie.alias.as_str(), tie)).collect();
        let known: std::collections::HashMap<&str, &Entry> =
            manifest.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let mut diagnostics = Vec::new();
        for tie in self.ties.iter().filter(|tie| !tie.inherited) {
            diagnostics.extend(tie.idle(|name| known.contains_key(name)));
        }
        let mut ties = Vec::new();
        for entry in &manifest.entries {
            let tie = by_name.get(entry.name.as_str()).copied().filter(|tie| tie.canonical.is_some());
            let first = tie.and_then(|tie| known.get(tie.canonical.as_deref().unwrap_or_default()));
            if let (Some(tie), Some(first)) = (tie, first)
                && first.shape != entry.shape
            {
                let (alias, name) = (&entry.name, &first.name);
                let message = format!(
                    "{alias:?} {:?} cannot be tied to {name:?} {:?}: one tensor has one shape",
                    entry.shape, first.shape
                );
                diagnostics.push(tie.span.diagnostic(message, "remove this line, or mend the names"));
            }
            ties.push(tie);
        }
        (ties, diagnostics)
    }
}

impl Tie {
    /// What to say of a tie of which no name is there.
    fn idle(&self, known: impl Fn(&str) -> bool) -> Option<Diagnostic> {
        let canonical =
            self.canonical.as_deref().filter(|canonical| !known(canonical) && !known(&self.alias))?;
        let message = format!("neither {:?} nor {canonical:?} is in this model", self.alias);
        Some(self.span.diagnostic(message, "mend the names, or remove this line"))
    }
}
