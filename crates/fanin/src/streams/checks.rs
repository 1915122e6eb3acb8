//! The checks that every stream performs before it writes a value.

use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation};
use crate::tensor::TensorMut;

/// Checks that `tensor` has the plan's element type, and that a region is inside the plan's shape. The region begins at
/// the index `start` and has the shape of `tensor`. Otherwise returns the error `ElementType` or `Region`.
pub(super) fn check_region(plan: &Plan, start: &[usize], tensor: &TensorMut<'_>) -> Result<(), Error> {
    if tensor.dtype() != plan.dtype() {
        return Err(Error::ElementType { expected: plan.dtype(), found: tensor.dtype() });
    }
    let (shape, size) = (plan.shape(), tensor.shape());
    let inside = start.len() == shape.len()
        && size.len() == shape.len()
        && (0..shape.len())
            .all(|axis| start[axis].checked_add(size[axis]).is_some_and(|end| end <= shape[axis]));
    if inside {
        return Ok(());
    }
    Err(Error::Region { shape: shape.to_vec(), start: start.to_vec(), size: size.to_vec() })
}

/// Checks that `tensor` has the plan's shape and element type. Otherwise returns the error `Length` or `ElementType`.
pub(super) fn check_whole(plan: &Plan, tensor: &TensorMut<'_>) -> Result<(), Error> {
    if tensor.shape() != plan.shape() {
        return Err(Error::Length {
            shape: plan.shape().to_vec(),
            expected: plan.len(),
            found: tensor.len(),
        });
    }
    check_region(plan, &vec![0; plan.shape().len()], tensor)
}

/// Checks that memory for `values` floating-point values can be allocated. Otherwise returns the error `Memory`. The
/// values are f64 for an f64 plan, and f32 for any other plan.
///
/// Without this check a failed allocation would abort the process in the middle of the fill.
pub(super) fn check_memory(plan: &Plan, values: u128) -> Result<(), Error> {
    check_memory_bytes(plan, values * if plan.dtype() == DType::F64 { 8 } else { 4 })
}

/// Checks that `bytes` bytes can be allocated. Otherwise returns the error `Memory`, which reports the shape of `plan`.
pub(super) fn check_memory_bytes(plan: &Plan, bytes: u128) -> Result<(), Error> {
    let available =
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if available { Ok(()) } else { Err(Error::Memory { shape: plan.shape().to_vec(), bytes }) }
}

/// Checks that neither the plan nor any of its blocks asks for an algorithm that only the torch stream implements.
/// Otherwise returns the error `Method`.
///
/// `stream` is the name of the calling stream, which the error message contains.
pub(super) fn check_method(plan: &Plan, stream: &'static str) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|block| check_method(block.plan(), stream))?;
    match plan.distribution() {
        Distribution::TruncatedNormal { method: Some(method @ Truncation::Rejection), .. } => {
            Err(Error::Method { stream, method: method.name() })
        }
        _ => Ok(()),
    }
}

/// Checks that neither the plan nor any of its blocks is a function of random values. Otherwise returns the error
/// `Unsupported`. Only the native stream has such values.
///
/// `stream` is the name of the calling stream, which the error message contains.
pub(super) fn check_no_random_functions(plan: &Plan, stream: &'static str) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|block| check_no_random_functions(block.plan(), stream))?;
    match plan.distribution() {
        Distribution::Mapped { .. } if plan.formula().is_none() => Err(Error::Unsupported {
            stream,
            distribution: "log_uniform or other function of random values",
            remedy: "torch computes such a function with a library whose last bit differs; use the native stream",
        }),
        _ => Ok(()),
    }
}
