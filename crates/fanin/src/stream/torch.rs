//! stub
use super::{Stream, check_box, check_whole};
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;
/// torch
#[derive(Debug, Clone)]
pub struct Torch { seed: u64 }
impl Torch {
    /// torch.manual_seed
    pub fn new(seed: u64) -> Self { Self { seed } }
}
impl Stream for Torch {
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error> { let _ = self.seed; check_whole(plan, &tensor) }
    fn fill_box(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> { check_box(plan, start, &tensor) }
}
