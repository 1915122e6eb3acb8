//! The checks that every stream performs before it writes a value.

use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation};
use crate::tensor::TensorMut;

/// Checks the element type and the bounds of a region. The region begins at the index `start`, and has the shape of
/// `tensor`. The errors are `ElementType` and `Region`.
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

/// Checks that `tensor` has the plan's shape and element type. The errors are `Length` and `ElementType`.
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

/// Returns the error `Memory` if memory for `values` numbers cannot be allocated. The numbers are f64 for an f64 plan,
/// and f32 for any other plan. Without this check, a failed allocation would abort the process.
pub(super) fn check_memory(plan: &Plan, values: u128) -> Result<(), Error> {
    check_memory_bytes(plan, values * if plan.dtype() == DType::F64 { 8 } else { 4 })
}

/// Returns the error `Memory`, which reports the shape of `plan`, if `bytes` bytes cannot be allocated.
pub(super) fn check_memory_bytes(plan: &Plan, bytes: u128) -> Result<(), Error> {
    let available =
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if available { Ok(()) } else { Err(Error::Memory { shape: plan.shape().to_vec(), bytes }) }
}

/// Returns the error `Method` if the plan or one of its blocks requires rejection sampling. Only the torch stream
/// supports it. `stream` is the name of the calling stream, for the error message.
pub(super) fn check_method(plan: &Plan, stream: &'static str) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|block| check_method(block.plan(), stream))?;
    match plan.distribution() {
        Distribution::TruncatedNormal { method: Some(method @ Truncation::Rejection), .. } => {
            Err(Error::Method { stream, method: method.name() })
        }
        _ => Ok(()),
    }
}

/// Returns the error `Unsupported` if the plan or one of its blocks applies a function to random values, as
/// `log_uniform` does. Only the native stream supports this. `stream` is the name of the calling stream, for the error
/// message.
pub(super) fn check_no_random_functions(plan: &Plan, stream: &'static str) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|block| check_no_random_functions(block.plan(), stream))?;
    match plan.distribution() {
        Distribution::Mapped { .. } if plan.formula().is_none() => Err(Error::Unsupported {
            stream,
            distribution: "log_uniform or other functions of random values",
            remedy: "use the native stream",
        }),
        _ => Ok(()),
    }
}
