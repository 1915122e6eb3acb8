//! `Variables`, the variables that the arithmetic of a spec can use.

use std::collections::BTreeMap;

/// The variables that the arithmetic of a spec can use, such as `n_layer`. `BTreeMap<String, f64>` implements this
/// trait.
pub trait Variables {
    /// Returns the value of the variable `name`, or `None` if there is no such variable.
    fn get(&self, name: &str) -> Option<f64>;

    /// Returns the names of all variables, for suggestions in error messages.
    fn names(&self) -> Vec<&str>;
}

/// An empty set of variables.
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
