//! Support for eight-bit types. torch cannot draw them, so their values are drawn in f32 and then rounded.

use crate::dtype::{DType, Element, F8E4M3, F8E5M2};
use crate::plan::Plan;

/// Panic message of the code that draws values. This code must never be called for an eight-bit type.
pub(super) const NARROW: &str = "eight-bit types are drawn in f32";

/// Whether the element type of a plan is an eight-bit type.
pub(super) fn is_narrow(plan: &Plan) -> bool {
    [F8E4M3::DTYPE, F8E5M2::DTYPE].contains(&plan.dtype())
}

/// Returns a copy of the plan that has the element type f32.
pub(super) fn widened(plan: &Plan) -> Plan {
    plan.in_type(DType::F32)
}
