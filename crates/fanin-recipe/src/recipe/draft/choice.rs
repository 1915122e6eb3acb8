//! [`Choice`]: the initializer that a draft proposes for a tensor.

/// A section of a draft. The sections of a draft are in the order of these variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Buffers,
    Norms,
    Biases,
    Embeddings,
    Recurrent,
    Residual,
    Convolutions,
    Heads,
    Matrices,
    Others,
}

impl Section {
    /// Returns the text of the comment above the section.
    pub(super) fn title(self) -> &'static str {
        match self {
            Section::Buffers => "-- Buffers",
            Section::Norms => "-- Norms and scales",
            Section::Biases => "-- Biases",
            Section::Embeddings => "-- Embeddings",
            Section::Recurrent => "-- Recurrent layers",
            Section::Residual => "-- Projections that end in a residual sum",
            Section::Convolutions => "-- Convolutions",
            Section::Heads => "-- Heads",
            Section::Matrices => "-- Matrices",
            Section::Others => "-- Others",
        }
    }
}

/// The spec that a draft proposes for a tensor: an initializer, `arange`, `copy` or `skip`. A comment above the rule
/// contains `reason`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) section: Section,
    pub(super) spec: String,
    pub(super) reason: &'static str,
    /// True if the spec is a guess. The draft then marks the rule with CHECK.
    pub(super) is_guess: bool,
}

/// Returns a choice that follows common practice. The draft does not mark the rule of the choice with CHECK.
pub(super) fn known(section: Section, spec: &str, reason: &'static str) -> Choice {
    Choice { section, spec: spec.to_owned(), reason, is_guess: false }
}

/// Returns a choice that is a guess. In the draft, the rule for this choice is marked with CHECK.
pub(super) fn guess(section: Section, spec: &str, reason: &'static str) -> Choice {
    Choice { is_guess: true, ..known(section, spec, reason) }
}
