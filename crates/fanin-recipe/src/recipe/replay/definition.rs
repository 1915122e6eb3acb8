//! The data of a replay: its tensors, and the steps that write the tensors.

use std::collections::HashMap;

use super::step::{Step, StepKind, View};
use crate::manifest::Entry;

/// A parsed replay: the tensors of a model, and the steps that write their values.
#[derive(Debug)]
pub struct Replay {
    /// The seed of torch's generator, for steps without their own seed.
    pub seed: u64,
    /// The text of the replay.
    pub text: String,
    /// The tensors of the model, in order.
    pub tensors: Vec<ReplayTensor>,
    /// Tensors that are not part of the model, but that other tensors copy.
    pub(super) temporary: Vec<ReplayTensor>,
    /// The index of each tensor, by name. Tensors in `temporary` have the indices after those of `tensors`.
    pub(super) indices: HashMap<String, usize>,
}

/// A tensor of a replay.
#[derive(Debug)]
pub struct ReplayTensor {
    /// The name, the shape and the dtype of the tensor.
    pub entry: Entry,
    /// The strides of the memory that the steps write. `None` if the memory is contiguous in row-major order.
    pub strides: Option<Vec<usize>>,
    /// The steps, in the order in which they are run.
    pub steps: Vec<Step>,
}

impl ReplayTensor {
    /// Returns the view of the whole tensor.
    pub fn view(&self) -> View {
        let strides = self.strides.clone().unwrap_or_else(|| View::row_major(&self.entry.shape));
        View { offset: 0, shape: self.entry.shape.clone(), strides }
    }

    /// Returns the kind of the tensor's only step, which must write the whole tensor in row-major order. Returns `None`
    /// if there is not exactly one step, if the step has a `view`, or if the tensor has `strides`.
    pub fn only_step(&self) -> Option<&StepKind> {
        match self.steps.as_slice() {
            [Step { view: None, kind }] if self.strides.is_none() => Some(kind),
            _ => None,
        }
    }
}
