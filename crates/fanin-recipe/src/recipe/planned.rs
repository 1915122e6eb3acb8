//! What a tensor will be.

use std::fmt;

use fanin::init::Init;
use fanin::{DType, Plan};

use crate::manifest::Entry;

/// What a tensor gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The values of an initializer.
    Init(Init),
    /// 0, 1, 2 and so on along the last axis.
    Arange,
    /// The values that the file has which names and shapes come from.
    Copy,
    /// None: it is left out of what is written.
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

/// What a tensor of a manifest will be.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The tensor.
    pub entry: Entry,
    /// The pattern that matched it.
    pub pattern: String,
    /// Where its spec stands: file, line and column; nothing if it is in no recipe.
    pub location: Option<String>,
    /// What it gets.
    pub action: Action,
    /// The plan of a floating-point tensor.
    pub plan: Option<Plan>,
    /// The value of an integer tensor that has one value.
    pub integer: Option<i128>,
    /// The name whose values it has, if that is another: it is tied.
    pub tied: Option<String>,
    /// The type that the recipe chooses for it.
    pub chosen_dtype: Option<DType>,
}

impl Planned {
    /// A tensor of this plan alone.
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

    /// A tensor that no recipe describes.
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

    /// The tensor, with its rule and the place of that, for diagnostics.
    pub fn description(&self) -> String {
        match &self.location {
            Some(location) => format!("{location}: {:?} for {}", self.pattern, self.entry.name),
            None => self.entry.name.clone(),
        }
    }

    /// The name that its values come from: on the native stream, what they depend on.
    pub fn source(&self) -> &str {
        self.tied.as_deref().unwrap_or(&self.entry.name)
    }

    /// Whether the recipe says its values: those of a copied or skipped tensor it does not.
    pub fn is_known(&self) -> bool {
        !matches!(self.action, Action::Copy | Action::Skip)
    }

    /// The value at a row-major index of a tensor that gets [`Action::Arange`].
    pub fn step(&self, index: usize) -> usize {
        index % self.entry.shape.last().copied().unwrap_or(1).max(1)
    }

    /// The mean that its values have; NaN if the recipe does not say.
    pub fn mean(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.mean(),
            (None, Action::Init(_)) => self.integer.unwrap_or_default() as f64,
            (None, Action::Arange) => self.steps().saturating_sub(1) as f64 / 2.0,
            (None, Action::Copy | Action::Skip) => f64::NAN,
        }
    }

    /// The standard deviation that its values have; NaN if the recipe does not say.
    pub fn std(&self) -> f64 {
        match (&self.plan, &self.action) {
            (Some(plan), _) => plan.std(),
            (None, Action::Init(_)) => 0.0,
            // That of 0 to n - 1, each as often.
            (None, Action::Arange) => ((self.steps() as f64).powi(2) - 1.0).max(0.0).sqrt() / 12f64.sqrt(),
            (None, Action::Copy | Action::Skip) => f64::NAN,
        }
    }

    fn steps(&self) -> usize {
        self.entry.shape.last().copied().unwrap_or(1)
    }
}
