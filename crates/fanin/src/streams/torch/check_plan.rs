//! `check_plan`, which returns an error if the torch stream cannot fill a plan.

use super::truncated::check_bounds;
use super::words::check_countable;
use crate::error::Error;
use crate::plan::{Distribution, Plan};
use crate::streams::checks::check_no_random_functions;

/// Returns an error if the torch stream cannot fill the plan.
pub(super) fn check_plan(plan: &Plan) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|block| check_plan(block.plan()))?;
    if let Distribution::Sparse { .. } = plan.distribution()
        && u32::try_from(plan.matrix().0).is_err()
    {
        // For 2^32 rows or more, `torch.randperm` uses another algorithm, which fanin does not implement.
        return Err(Error::ShapeOverflow { shape: plan.shape().to_vec() });
    }
    check_no_random_functions(plan, "torch")?;
    check_countable(plan)?;
    check_bounds(plan)
}
