//! Writes to strided memory through temporary contiguous memory.

use super::offsets::{CHECK_EVERY, Offsets};
use super::strides::{axes_by_stride, row_major};
use crate::cancel::check;
use crate::dtype::{Element, Values, values};

/// Calls `write` with temporary contiguous memory for the elements at `offsets`, and then copies the values to these
/// offsets in `memory`.
pub(super) fn write_copy(memory: Values<'_>, offsets: &Offsets, write: impl FnOnce(Values<'_>)) {
    values!(memory, memory => {
        let mut copy = vec![Default::default(); offsets.len()];
        write(Element::values(&mut copy));
        scatter(memory, offsets, &copy);
    });
}

/// Copies value k of `from` to offset k of `offsets` in `memory`. The inner loop runs along the axis with the smallest
/// stride in `memory`, because scattered writes take longer than scattered reads.
fn scatter<E: Copy>(memory: &mut [E], offsets: &Offsets, from: &[E]) {
    let (sizes, strides, count) = (offsets.sizes(), offsets.strides(), offsets.len());
    let axes: Vec<usize> = axes_by_stride(sizes, strides).collect();
    let (Some((&inner, outer)), 1..) = (axes.split_first(), count) else {
        from.iter().for_each(|value| memory[offsets.first()] = *value);
        return;
    };
    let from_strides: Vec<usize> = row_major(sizes).into_iter().map(|stride| stride as usize).collect();
    let mut index = vec![0; outer.len()];
    let mut unchecked = 0;
    for _ in 0..count / sizes[inner] {
        let (mut offset, mut first) = (offsets.first() as isize, 0);
        for (&index, &axis) in index.iter().zip(outer) {
            offset += index as isize * strides[axis];
            first += index * from_strides[axis];
        }
        let mut values = from[first..].iter().step_by(from_strides[inner]).take(sizes[inner]);
        while values.len() > 0 {
            if unchecked >= CHECK_EVERY {
                check();
                unchecked = 0;
            }
            unchecked += values.len().min(CHECK_EVERY);
            for value in values.by_ref().take(CHECK_EVERY) {
                memory[offset as usize] = *value;
                offset += strides[inner];
            }
        }
        for (index, &axis) in index.iter_mut().zip(outer) {
            *index += 1;
            if *index < sizes[axis] {
                break;
            }
            *index = 0;
        }
    }
}
