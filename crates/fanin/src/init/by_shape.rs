//! An initializer whose arguments depend on the shape of the tensor.

/// An initializer whose arguments depend on the shape of the tensor, or on the index of the tensor in a stack. Its spec
/// uses `fan_in`, `fan_out`, `shape[i]` or `index` in arithmetic. Created by [`Init::parse`](super::Init::parse).
///
/// ```
/// use fanin::{DType, Initializer as _, init::Init};
/// let init: Init = "normal(std=sqrt(2/(fan_in+shape[0])))".parse()?;
/// assert!(matches!(init, Init::ByShape(_)));
/// assert_eq!(init.resolve(&[6, 2], DType::F32)?.std(), 0.5);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ByShape {
    /// A valid spec. Its arithmetic uses no variables except `fan_in`, `fan_out`, `shape[i]` and `index`.
    text: String,
    /// The index of the tensor in a stack. `None` if the tensor is not in a stack.
    index: Option<usize>,
}

impl ByShape {
    pub(crate) fn new(text: String) -> Self {
        Self { text, index: None }
    }

    /// Returns the initializer of the tensor at this index of a stack.
    pub(super) fn at(&self, index: usize) -> Self {
        Self { index: Some(index), ..self.clone() }
    }

    /// Implements [`Init::torch_axes`](super::Init::torch_axes) for the spec.
    pub(super) fn torch_axes(&self) -> Option<&'static str> {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let has = |name: &str, followed_by: &dyn Fn(&str) -> bool| {
            self.text.match_indices(name).any(|(at, _)| {
                let (before, after) = (&self.text[..at], &self.text[at + name.len()..]);
                !before.ends_with(word) && !after.starts_with(word) && followed_by(after.trim_start())
            })
        };
        let is_mode = self.text.contains("mode=fan_") || self.text.contains("mode='fan_");
        ["dirac", "sparse", "zero_hadamard", "idinit"]
            .into_iter()
            .find(|name| has(name, &|after| !after.starts_with('=')))
            .or_else(|| {
                ["fan_in", "fan_out"]
                    .into_iter()
                    .find(|name| has(name, &|after| !after.starts_with(['(', '='])) && !is_mode)
            })
    }

    /// Returns the spec.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn index(&self) -> Option<usize> {
        self.index
    }
}

impl std::fmt::Display for ByShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
