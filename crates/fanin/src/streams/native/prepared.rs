//! `Prepared`, a plan that is prepared to fill regions of one tensor.

use super::blocks::PreparedBlocks;
use super::single::PreparedSingle;
use super::tensor::NativeTensor;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::streams::checks::{check_method, check_region, check_whole};
use crate::streams::stream::Stream;
use crate::tensor::TensorMut;

/// A plan that is prepared to fill regions of one tensor with values of the native stream. Created by
/// [`NativeTensor::prepare`]. The regions share work that does not depend on the region, such as the factorization of
/// an `orthogonal` matrix.
#[derive(Debug, Clone)]
pub struct Prepared(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Single(PreparedSingle),
    Blocks(PreparedBlocks),
}

impl NativeTensor {
    /// Prepares `plan` to fill regions of this tensor.
    ///
    /// For `orthogonal`, this method factors a matrix once for all regions. The factorization takes up to three times
    /// the memory of the matrix in f32 (in f64 for an f64 plan). For every other distribution, this method takes almost
    /// no time and memory.
    ///
    /// In a plan of blocks, an orthogonal block is factored only when a region intersects the block. If the regions
    /// alternate between more than three blocks, a block may be factored again.
    ///
    /// # Errors
    /// `Method` if the plan requires rejection sampling, which the native stream does not implement. `Memory` if the
    /// memory for an orthogonal plan cannot be allocated.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Error> {
        check_method(plan, "native")?;
        Ok(Prepared(match plan.distribution() {
            Distribution::Blocks { .. } => Kind::Blocks(PreparedBlocks::new(self, plan)),
            _ => Kind::Single(PreparedSingle::new(self, plan)?),
        }))
    }
}

impl Prepared {
    /// Fills `tensor` with the values of one region. The region begins at the index `start`, and has the shape of
    /// `tensor`.
    ///
    /// # Errors
    /// `Region` if the region exceeds the plan's shape. `ElementType` if `tensor` does not have the plan's element
    /// type. `Memory` if the memory for an orthogonal block cannot be allocated.
    pub fn fill_region(&self, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        match &self.0 {
            Kind::Single(prepared) => prepared.fill_region(start, tensor),
            Kind::Blocks(prepared) => prepared.fill_region(start, tensor),
        }
    }
}

impl Stream for NativeTensor {
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error> {
        check_whole(plan, &tensor)?;
        self.fill_region(plan, &vec![0; plan.shape().len()], tensor)
    }

    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error> {
        check_region(plan, start, &tensor)?;
        if tensor.is_empty() {
            return Ok(());
        }
        self.prepare(plan)?.fill_region(start, tensor)
    }
}
