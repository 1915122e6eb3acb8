//! The planned values of one tensor.

use std::fmt;

use fanin::init::Init;
use fanin::{DType, Plan};

use crate::manifest::Entry;

/// What a recipe does with a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The tensor gets the values of an initializer.
    Init(Init),
    /// An integer tensor gets 0, 1, 2, ... along its last axis.
    Arange,
    /// The tensor keeps the values of the checkpoint that names and shapes come from.
    Copy,
    /// The tensor is not written.
    Skip,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Init(init) => init.fmt(f),
            Action::Arange => f.write_str("arange"),
            Action::Copy => f.write_str("copy"),
            Action::Skip => f.write_str("skip"),
        }
    }
}

/// A tensor of a manifest, with what its recipe gives it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Name, shape and dtype of the tensor.
    pub entry: Entry,
    /// The pattern of the rule that matched the tensor.
    pub pattern: String,
    /// The position of the rule's value as `file:line:column`. `None` if the plan does not come from a recipe.
    pub location: Option<String>,
    /// What the recipe does with the tensor.
    pub action: Action,
    /// The plan of a floating-point tensor. `None` for other tensors, and for tensors that keep their values.
    pub plan: Option<Plan>,
    /// The value of all elements of an integer tensor with a constant initializer.
    pub integer: Option<i128>,
    /// The canonical name, if the tensor is tied: it has the values of the tensor of that name.
    pub tied: Option<String>,
    /// The dtype that a rule of `[dtype]` chooses for the tensor.
    pub chosen_dtype: Option<DType>,
}

impl Planned {
    /// Returns a tensor with a plan that does not come from a recipe.
    pub fn of(entry: Entry, init: Init, plan: Plan) -> Self {
        let pattern = entry.name.clone();
        Self {
            entry,
            pattern,
            location: None,
            action: Action::Init(init),
            plan: Some(plan),
            integer: None,
            tied: None,
            chosen_dtype: None,
        }
    }

    /// Returns a tensor that is skipped because the recipe does not know it.
    pub fn skipped(entry: Entry) -> Self {
        Self {
            pattern: entry.name.clone(),
            entry,
            location: None,
            action: Action::Skip,
            plan: None,
            integer: None,
            tied: None,
            chosen_dtype: None,
        }
    }

    /// Returns the tensor's name for errors, with the position and the pattern of its rule if it has one.
    pub fn description(&self) -> String {
        match &self.location {
            Some(location) => format!("{location}: {:?} for {}", self.pattern, self.entry.name),
            None => self.entry.name.clone(),
        }
    }

    /// Returns the canonical name of the tensor. On the native stream its values depend on the seed and this name.
    pub fn source(&self) -> &str {
        self.tied.as_deref().unwrap_or(&self.entry.name)
    }

    /// Whether the recipe defines the values of the tensor: it is neither copied nor skipped.
    pub fn is_known(&self) -> bool {
        !matches!(self.action, Action::Copy | Action::Skip)
    }

    /// Returns the value at a row-major index of a tensor with [`Action::Arange`].
    pub fn step(&self, index: usize) -> usize {
        index % self.entry.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Returns the mean of the distribution of the values. NaN for copied and skipped tensors.
    pub fn mean(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.mean(),
            (None, Action::Init(_)) => self.integer.unwrap_or_default() as f64,
            (None, Action::Arange) => self.last_axis().saturating_sub(1) as f64 / 2.0,
            (None, Action::Copy | Action::Skip) => f64::NAN,
        }
    }

    /// Returns the standard deviation of the distribution of the values. NaN for copied and skipped tensors.
    pub fn std(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.std(),
            (None, Action::Init(_)) => 0.0,
            // The standard deviation of 0, 1, ..., n - 1 is sqrt((n^2 - 1) / 12).
            (None, Action::Arange) => {
                ((self.last_axis() as f64).powi(2) - 1.0).max(0.0).sqrt() / 12f64.sqrt()
            }
            (None, Action::Copy | Action::Skip) => f64::NAN,
        }
    }

    /// The length of the last axis.
    fn last_axis(&self) -> usize {
        self.entry.shape.last().copied().unwrap_or(1)
    }
}
