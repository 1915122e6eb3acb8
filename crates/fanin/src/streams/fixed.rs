//! Fills tensors with distributions that use no random words: constants, `eye`, `dirac`, and formulas of the index.

use crate::cancel::check;
use crate::dtype::{Element, values};
use crate::plan::{Distribution, Plan};
use crate::region::Region;
use crate::simd::fill_non_temporal;
use crate::tensor::{Order, TensorMut};
use crate::threads::Threads;

/// The number of values that one thread writes at a time.
const CHUNK: usize = 1 << 16;

/// A constant is written by non-temporal stores to memory of at least this size in bytes. Such memory is larger than
/// the caches. Random values are always written by ordinary stores, because these overlap with the arithmetic.
const NON_TEMPORAL_BYTES: usize = 1 << 25;

/// Fills a region of a plan that uses no random words, such as `eye`, and returns `true`. For a plan that uses random
/// words, writes nothing and returns `false`. Also writes nothing and returns `false` for every plan of blocks, even if
/// no block uses random words. `tensor` is the memory of the region. The region begins at the index `start`.
pub(super) fn fill_fixed(threads: Threads, plan: &Plan, start: &[usize], tensor: &mut TensorMut<'_>) -> bool {
    match plan.distribution() {
        Distribution::Constant { value } => fill_constant(threads, value, tensor),
        Distribution::Eye | Distribution::Dirac { .. } => fill_constant(threads, 0.0, tensor),
        _ => return fill_formula(plan, start, tensor),
    }
    for index in plan.ones_in(start, tensor.shape()) {
        check();
        let local: Vec<usize> = index.iter().zip(start).map(|(&index, &start)| index - start).collect();
        let (memory, offset) = tensor.element(&local);
        values!(memory, memory => memory[offset] = Element::from_f64(1.0));
    }
    true
}

/// Does the same as [`fill_fixed`], but only for a plan that has a [`Plan::formula`].
fn fill_formula(plan: &Plan, start: &[usize], tensor: &mut TensorMut<'_>) -> bool {
    let Some(formula) = plan.formula() else { return false };
    let region = Region::new(plan.shape(), start, tensor.shape());
    tensor.write_in(Order::Index, |memory| {
        values!(memory, memory => region.all().for_each_run(memory, |first, out| {
            for (first, out) in (first..).step_by(CHUNK).zip(out.chunks_mut(CHUNK)) {
                check();
                (first..).zip(out).for_each(|(index, out)| *out = Element::from_f64(formula(index)));
            }
        }));
    });
    true
}

/// Sets every element of `tensor` to `value`, rounded to the element type.
pub(super) fn fill_constant(threads: Threads, value: f64, tensor: &mut TensorMut<'_>) {
    let covers_buffer = tensor.covers_buffer();
    let (memory, offsets) = tensor.offsets(Order::Memory);
    values!(memory, memory => {
        let value = Element::from_f64(value);
        if covers_buffer {
            let non_temporal = size_of_val(memory) >= NON_TEMPORAL_BYTES;
            let fill = |_, out: &mut [_]| {
                if non_temporal { fill_non_temporal(value, out) } else { out.fill(value) }
            };
            threads.chunks(memory, CHUNK, fill);
        } else {
            offsets.for_each_cancellable(|offset| memory[offset] = value);
        }
    });
}
