//! [`Planned`]: a tensor and the action that a recipe chooses for the tensor.

use std::fmt;

use fanin::init::Init;
use fanin::{DType, Plan};

use super::copy::Copy;
use crate::manifest::Entry;

/// How a tensor gets its values.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The tensor gets the values of an initializer.
    Init(Init),
    /// An integer tensor gets 0, 1, 2, ... along its last axis.
    Arange,
    /// The tensor gets values of a checkpoint: the checkpoint from which names and shapes were read, or another
    /// checkpoint.
    Copy(Copy),
    /// The tensor is not written.
    Skip,
    /// The tensor gets its values from the steps of a replay. A replay is a recorded initialization.
    Replay,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Init(init) => init.fmt(f),
            Action::Arange => f.write_str("arange"),
            Action::Copy(copy) => copy.fmt(f),
            Action::Skip => f.write_str("skip"),
            Action::Replay => f.write_str("replay"),
        }
    }
}

/// A tensor of a manifest, with the action and the plan that a recipe gives for the tensor.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The name, the shape and the dtype of the tensor.
    pub entry: Entry,
    /// The pattern of the rule that applies to the tensor. If the plan does not come from a rule, the pattern is the
    /// tensor's name.
    pub pattern: String,
    /// The position of the rule's value as `file:line:column`, or `None` if the plan does not come from a rule.
    pub location: Option<String>,
    /// How the tensor gets its values.
    pub action: Action,
    /// The plan for drawing the values. `None` for integer tensors, for tensors that are copied or skipped, and for
    /// tensors with [`Action::Replay`].
    pub plan: Option<Plan>,
    /// The value of all elements of an integer tensor with a constant initializer. `None` for other tensors.
    pub integer: Option<i128>,
    /// The name of the tensor to which this tensor is tied, or `None` if this tensor is not tied. Tied tensors have the
    /// same values.
    pub tied: Option<String>,
    /// The dtype that a rule of `[dtype]` chooses for the tensor, or `None` if no such rule matches the tensor.
    pub chosen_dtype: Option<DType>,
}

impl Planned {
    /// Returns a planned tensor whose initializer and plan do not come from a recipe.
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

    /// Returns a `Planned` with [`Action::Skip`] and without a plan, for a tensor that was not planned with a recipe.
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

    /// Returns a description of the tensor for error messages. If the plan comes from a rule, the description contains
    /// the position and the pattern of the rule: `r.toml:3:12: "*.bias" for fc.bias`. Otherwise, the description is
    /// only the tensor's name.
    pub fn description(&self) -> String {
        match &self.location {
            Some(location) => format!("{location}: {:?} for {}", self.pattern, self.entry.name),
            None => self.entry.name.clone(),
        }
    }

    /// Returns the canonical name of the tensor. This is the name to which the tensor is tied, or its own name if it is
    /// not tied. On the native stream, the random numbers of the tensor depend only on the seed and the canonical name.
    pub fn source(&self) -> &str {
        self.tied.as_deref().unwrap_or(&self.entry.name)
    }

    /// Returns true if the recipe or replay determines the values of the tensor, and false if the tensor is copied or
    /// skipped.
    pub fn is_known(&self) -> bool {
        !matches!(self.action, Action::Copy(_) | Action::Skip)
    }

    /// Returns the value of the element at a row-major index, for a tensor with [`Action::Arange`]. The value is the
    /// index of the element along the last axis.
    pub fn step(&self, index: usize) -> usize {
        index % self.entry.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Returns the mean of the distribution of the values. Returns NaN for copied and skipped tensors, and for tensors
    /// with [`Action::Replay`].
    pub fn mean(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.mean(),
            (None, Action::Init(_)) => self.integer.unwrap_or_default() as f64,
            (None, Action::Arange) => self.last_axis().saturating_sub(1) as f64 / 2.0,
            (None, Action::Copy(_) | Action::Skip | Action::Replay) => f64::NAN,
        }
    }

    /// Returns the standard deviation of the distribution of the values. Returns NaN for copied and skipped tensors,
    /// and for tensors with [`Action::Replay`].
    pub fn std(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.std(),
            (None, Action::Init(_)) => 0.0,
            // The standard deviation of 0, 1, ..., n - 1 is sqrt((n^2 - 1) / 12).
            (None, Action::Arange) => {
                ((self.last_axis() as f64).powi(2) - 1.0).max(0.0).sqrt() / 12f64.sqrt()
            }
            (None, Action::Copy(_) | Action::Skip | Action::Replay) => f64::NAN,
        }
    }

    /// Returns the length of the last axis. Returns 1 for a scalar.
    fn last_axis(&self) -> usize {
        self.entry.shape.last().copied().unwrap_or(1)
    }
}
