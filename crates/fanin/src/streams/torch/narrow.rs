//! Eight-bit types, which torch cannot draw: they are drawn in f32 and rounded.

use crate::dtype::{DType, Element, F8E4M3, F8E5M2};
use crate::plan::Plan;

/// Why code that draws values is never called for an eight-bit type: the panic message.
pub(super) const NARROW: &str = "eight-bit types are drawn in f32";

/// Whether a plan is of an eight-bit type.
pub(super) fn is_narrow(plan: &Plan) -> bool {
    [F8E4M3::DTYPE, F8E5M2::DTYPE].contains(&plan.dtype())
}

/// Returns the same plan in f32.
pub(super) fn widened(plan: &Plan) -> Plan {
    plan.in_type(DType::F32)
}
