//! The data of a replay: its tensors, and the steps that write them.

use std::collections::HashMap;

use super::step::{Step, StepKind, View};
use crate::manifest::Entry;

/// A parsed replay: the tensors of a model, and the steps that give them their values.
#[derive(Debug)]
pub struct Replay {
    /// The seed of torch's generator.
    pub seed: u64,
    /// The text that the replay was parsed from.
    pub text: String,
    /// The tensors of the model, in order.
    pub tensors: Vec<ReplayTensor>,
    /// Tensors that other tensors copy, and that are not part of the model.
    pub(super) temporary: Vec<ReplayTensor>,
    /// For each name, the index of the tensor: first those of `tensors`, then those of `temporary`.
    pub(super) indices: HashMap<String, usize>,
}

/// A tensor of a replay.
#[derive(Debug)]
pub struct ReplayTensor {
    /// The name, the shape and the dtype.
    pub entry: Entry,
    /// The strides of the memory that the steps write. `None` if the memory is contiguous in row-major order.
    pub strides: Option<Vec<usize>>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl ReplayTensor {
    /// Returns the view of the whole tensor.
    pub fn view(&self) -> View {
        let strides = self.strides.clone().unwrap_or_else(|| View::row_major(&self.entry.shape));
        View { offset: 0, shape: self.entry.shape.clone(), strides }
    }

    /// Returns the only step of the tensor, if the tensor has one step that writes all of it in row-major order.
    pub fn only_step(&self) -> Option<&StepKind> {
        match self.steps.as_slice() {
            [Step { view: None, kind }] if self.strides.is_none() => Some(kind),
            _ => None,
        }
    }
}
