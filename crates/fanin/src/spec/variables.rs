//! Named numbers that a spec's arithmetic may use.

use std::collections::BTreeMap;

/// Named numbers that a spec's arithmetic may use.
pub trait Variables {
    /// The number called `name`.
    fn get(&self, name: &str) -> Option<f64>;

    /// Every name there is, for "did you mean".
    fn names(&self) -> Vec<&str>;
}

/// No variables at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _: &str) -> Option<f64> {
        None
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Variables for BTreeMap<String, f64> {
    fn get(&self, name: &str) -> Option<f64> {
        BTreeMap::get(self, name).copied()
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}
