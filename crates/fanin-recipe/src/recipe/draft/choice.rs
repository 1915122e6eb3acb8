//! The proposed initializer of a tensor in a draft.

/// The sections of a draft, in order.
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
    /// Returns the comment line above the section.
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

/// The proposed value of a rule, with the reason that the draft gives in a comment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) section: Section,
    pub(super) spec: String,
    pub(super) reason: &'static str,
    /// Whether the draft marks the rule with CHECK.
    pub(super) is_guess: bool,
}

/// Returns a choice that follows common practice.
pub(super) fn known(section: Section, spec: &str, reason: &'static str) -> Choice {
    Choice { section, spec: spec.to_owned(), reason, is_guess: false }
}

/// Returns a choice that the user must check.
pub(super) fn guess(section: Section, spec: &str, reason: &'static str) -> Choice {
    Choice { is_guess: true, ..known(section, spec, reason) }
}
