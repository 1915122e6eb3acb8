//! stub
use super::{Stream, check_box, check_whole};
use crate::error::Error;
use crate::plan::Plan;
use crate::tensor::TensorMut;
use std::borrow::Cow;
use std::collections::HashMap;

/// Native
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native { seed: u64 }
impl Native {
    /// new
    pub const fn new(seed: u64) -> Self { Self { seed } }
    /// tensor
    pub fn tensor(self, name: &str) -> NativeTensor { let _ = name; NativeTensor { seed: self.seed } }
    /// job
    pub fn job(self) -> Job { Job { native: self, names: HashMap::new() } }
}
/// Refuses duplicates
#[derive(Debug, Clone)]
pub struct Job { native: Native, names: HashMap<String, String> }
impl Job {
    /// tensor
    pub fn tensor(&mut self, name: &str) -> Result<NativeTensor, Error> { let _ = &mut self.names; Ok(self.native.tensor(name)) }
}
/// name
pub fn canonical_name(name: &str) -> Cow<'_, str> { name.into() }
/// tensor
#[derive(Debug, Clone)]
pub struct NativeTensor { seed: u64 }
impl NativeTensor {
    /// Everything that boxes of one plan share, computed once.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> { let _ = self.seed; Ok(Prepared { plan: plan.clone() }) }
}
/// prepared
#[derive(Debug, Clone)]
pub struct Prepared { plan: Plan }
impl Prepared {
    /// Fills the box
    pub fn fill_box(&self, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> { check_box(&self.plan, start, &tensor) }
}
impl Stream for NativeTensor {
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error> { check_whole(plan, &tensor) }
    fn fill_box(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> { check_box(plan, start, &tensor) }
}
