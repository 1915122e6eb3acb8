//! Streams: where the numbers of a plan come from.

mod blocks;
mod fill;
#[cfg(feature = "rand_core")]
pub mod from_rng;
pub mod native;
mod sparse;
pub mod torch;
mod zero_mask;

use crate::dtype::{DType, Element};
use crate::error::Error;
use crate::plan::{Distribution, Plan, Truncation};
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// A source of numbers that can carry out any plan.
///
/// [`NativeTensor`](native::NativeTensor) gives the value at each index as a pure function of seed, name and index; [`Torch`](torch::Torch) gives torch's
/// numbers in torch's order; with the feature `rand_core`, `FromRng` draws from a generator of the user's.
pub trait Stream {
    /// Writes the whole of `plan` to `tensor`.
    ///
    /// # Errors
    /// `Length` or `ElementType` if the memory is not of the plan's shape and type; `BoundsOverflow`, `Memory` and `ShapeOverflow`
    /// as [`Plan::fill`] says. Nothing has been written then.
    fn fill(&mut self, plan: &Plan, tensor: TensorMut<'_>) -> Result<(), Error>;

    /// Writes the box of `plan` that begins at the index `start` and has the shape of `tensor`: the bits that
    /// filling the whole and slicing would give. The rest is not computed, but for `orthogonal`: each entry of that depends
    /// on all the vectors.
    ///
    /// # Errors
    /// As [`Stream::fill`]; `Box` if the box does not lie in the plan's shape; `NoRandomAccess` if the stream must be
    /// read from its beginning and the box is not the whole.
    fn fill_region(&mut self, plan: &Plan, start: &[usize], tensor: TensorMut<'_>) -> Result<(), Error>;
}

impl Plan {
    /// Fills row-major memory.
    ///
    /// # Errors
    /// `Length` or `ElementType` if the memory is not of the plan's shape and type, `BoundsOverflow` for infinite
    /// cut-offs on a stream that needs finite ones, `Method` for an algorithm that the stream lacks, `Memory` if there is
    /// less than the fill needs beside its own, `ShapeOverflow` where torch's stream would take more words than can be
    /// counted. Nothing has been written then.
    pub fn fill<E: Element>(&self, buffer: &mut [E], stream: &mut dyn Stream) -> Result<(), Error> {
        stream.fill(self, TensorMut::contiguous(buffer, self.shape())?)
    }
}

/// `Err` unless `tensor` can hold the box of `plan` from `start` on.
fn check_region(plan: &Plan, start: &[usize], tensor: &TensorMut<'_>) -> Result<(), Error> {
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

/// `Err` unless `tensor` can hold the whole of `plan`.
fn check_whole(plan: &Plan, tensor: &TensorMut<'_>) -> Result<(), Error> {
    if tensor.shape() != plan.shape() {
        return Err(Error::Length {
            shape: plan.shape().to_vec(),
            expected: plan.len(),
            found: tensor.len(),
        });
    }
    check_region(plan, &vec![0; plan.shape().len()], tensor)
}

/// `Err` if there is no room for so many values of the plan's arithmetic, rather than an end of the process later.
fn room(plan: &Plan, values: u128) -> Result<(), Error> {
    room_for_bytes(plan, values * if plan.dtype() == DType::F64 { 8 } else { 4 })
}

/// The same for so many bytes.
fn room_for_bytes(plan: &Plan, bytes: u128) -> Result<(), Error> {
    let there_is =
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if there_is { Ok(()) } else { Err(Error::Memory { shape: plan.shape().to_vec(), bytes }) }
}

/// Carries out the parts of a plan one after another, each as a tensor of its own that is then put in its place.
fn fill_in_turn(stream: &mut dyn Stream, plan: &Plan, tensor: &mut TensorMut<'_>) -> Result<(), Error> {
    if plan.has_background() {
        fill::background(Threads::One, 0.0, tensor);
    }
    for part in plan.blocks() {
        let shape = part.plan().shape();
        let mut done = Ok(());
        tensor.view(part.start(), part.axes(), shape).write_in(Order::Index, |memory| {
            done = TensorMut::from_values(memory, shape).and_then(|tensor| stream.fill(part.plan(), tensor));
        });
        done?;
    }
    Ok(())
}

/// `Err` if the plan asks for an algorithm that only torch's stream has.
fn check_method(plan: &Plan, stream: &'static str) -> Result<(), Error> {
    plan.blocks().iter().try_for_each(|part| check_method(part.plan(), stream))?;
    match plan.distribution() {
        Distribution::TruncatedNormal { method: Some(method @ Truncation::Rejection), .. } => {
            Err(Error::Method { stream, method: method.name() })
        }
        _ => Ok(()),
    }
}
