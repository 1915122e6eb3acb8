//! The steps of a replay. A step writes to a tensor, or to a view of a tensor.

use fanin::Plan;
use fanin::init::Init;

/// A step that writes to a tensor.
#[derive(Debug, Clone)]
pub struct Step {
    /// The elements that the step writes. `None` means the whole tensor.
    pub view: Option<View>,
    /// The kind of values that the step writes.
    pub kind: StepKind,
}

/// The kind of values that a step writes.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// The values of an initializer.
    Fill {
        /// The initializer.
        init: Init,
        /// The plan for the shape of the view and the dtype of the tensor.
        plan: Plan,
        /// The position of the first value in the torch stream. `None` if the plan draws no values.
        start: Option<Start>,
    },
    /// The same number for all elements of a tensor of an integer dtype.
    Integer(i128),
    /// The values 0, 1, 2, ... along the last axis of a tensor of an integer dtype.
    Arange,
    /// The values of another tensor, converted to the dtype of the tensor that the step writes.
    Copy {
        /// The name of the tensor from which the values are copied.
        name: String,
        /// The elements that are copied, as a view of the row-major values of the tensor `name`. `None` means all
        /// elements.
        view: Option<View>,
    },
    /// Values that the replay lists, in row-major order.
    Values(Values),
    /// Each old value multiplied by this number.
    Multiply(f64),
    /// Each old value divided by this number.
    Divide(f64),
    /// Each old value plus this number.
    Add(f64),
}

/// Values that a replay lists.
#[derive(Debug, Clone)]
pub enum Values {
    /// The values of a tensor of a floating-point dtype.
    Floats(Vec<f64>),
    /// The values of a tensor of an integer dtype.
    Integers(Vec<i128>),
}

/// A position in the torch stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The seed with which the generator was last seeded.
    pub seed: u64,
    /// The number of 32-bit words that were drawn between the seeding and this position.
    pub at: u64,
    /// The position of the last pair of normal values. `None` unless torch still stores the second value of this pair.
    ///
    /// torch draws some normal values in pairs, returns the first value of a pair, and stores the second value for the
    /// next draw. The position is the number of 32-bit words that were drawn between the seeding and the pair.
    pub pair: Option<u64>,
}

/// A view: some elements of a tensor. The element `[i, j, ...]` is at the position
/// `offset + i * strides[0] + j * strides[1] + ...` in the tensor's memory. Positions and strides count elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The position of the element whose index is 0 along every axis.
    pub offset: usize,
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// The stride of each axis.
    pub strides: Vec<usize>,
}

impl View {
    /// Returns the strides of a contiguous tensor in row-major order. A stride that does not fit in `usize` is
    /// `usize::MAX`.
    pub fn row_major(shape: &[usize]) -> Vec<usize> {
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis].max(1));
        }
        strides
    }

    /// Returns the number of elements, or `None` if the number does not fit in `usize`.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
    }

    /// Returns the position of the last element plus 1, or 0 if there are no elements. Returns `None` if the result
    /// does not fit in `usize`.
    pub fn end(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let reach = self.shape.iter().zip(&self.strides);
        let mut last = reach.map(|(&size, &stride)| (size - 1).checked_mul(stride));
        last.try_fold(self.offset, |end, reach| end.checked_add(reach?))?.checked_add(1)
    }

    /// Calls `visit` with the position in memory of each element, in row-major order. [`View::end`] must not be `None`.
    pub fn for_each(&self, mut visit: impl FnMut(usize)) {
        if self.shape.contains(&0) {
            return;
        }
        let Some((&size, outer)) = self.shape.split_last() else { return visit(self.offset) };
        let stride = self.strides[outer.len()];
        let (mut index, mut position) = (vec![0; outer.len()], self.offset);
        // `position` can overflow after the last index of an axis. It wraps, and the subtraction reverses the overflow.
        loop {
            (0..size).for_each(|step| visit(position + step * stride));
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                index[axis] += 1;
                position = position.wrapping_add(self.strides[axis]);
                if index[axis] < outer[axis] {
                    break;
                }
                position = position.wrapping_sub(outer[axis].wrapping_mul(self.strides[axis]));
                index[axis] = 0;
            }
        }
    }

    /// Splits the elements into runs: ranges of consecutive positions in memory, all of equal length. Returns this
    /// length, and a view of the first element of each run.
    pub(super) fn runs(&self) -> (usize, View) {
        if self.shape.contains(&0) {
            return (0, View { offset: 0, shape: vec![0], strides: vec![1] });
        }
        let mut axes: Vec<(usize, usize)> = self
            .strides
            .iter()
            .copied()
            .zip(self.shape.iter().copied())
            .filter(|&(_, size)| size != 1)
            .collect();
        axes.sort_unstable();
        let mut length = 1;
        let mut starts = View { offset: self.offset, shape: Vec::new(), strides: Vec::new() };
        for (stride, size) in axes {
            // The strides are in ascending order. After the first axis that leaves gaps, no other axis can extend the
            // run.
            if stride <= length {
                length += (size - 1) * stride;
            } else {
                starts.shape.push(size);
                starts.strides.push(stride);
            }
        }
        (length, starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_visited_in_row_major_order() {
        let positions = |offset, shape: &[usize], strides: &[usize]| {
            let view = View { offset, shape: shape.to_vec(), strides: strides.to_vec() };
            let mut found = Vec::new();
            view.for_each(|position| found.push(position));
            assert_eq!(
                (view.count(), view.end()),
                (Some(found.len()), found.iter().max().map_or(Some(0), |m| Some(m + 1)))
            );
            found
        };
        assert_eq!(positions(5, &[], &[]), [5]);
        assert_eq!(positions(0, &[2, 0, 3], &[9, 9, 9]), [0usize; 0]);
        assert_eq!(positions(1, &[2, 3], &[1, 2]), [1, 3, 5, 2, 4, 6]);
        assert_eq!(positions(0, &[2, 2, 2], &View::row_major(&[2, 2, 2])), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn runs_have_the_same_elements_as_the_view() {
        for (offset, shape, strides) in [
            (5, &[][..], &[][..]),
            (0, &[2, 3], &[3, 1]),
            (1, &[2, 3], &[1, 2]),
            (0, &[3, 4], &[2, 1]),
            (0, &[3, 4], &[9, 2]),
            (2, &[4, 2, 3], &[0, 40, 7]),
            (0, &[2, 1, 3], &[3, 99, 1]),
            (0, &[2, 0, 3], &[3, 3, 1]),
            (0, &[2, 2, 5], &[50, 10, 1]),
        ] {
            let view = View { offset, shape: shape.to_vec(), strides: strides.to_vec() };
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            view.for_each(|position| expected.push(position));
            let (length, starts) = view.runs();
            starts.for_each(|start| found.extend(start..start + length));
            for positions in [&mut expected, &mut found] {
                positions.sort_unstable();
                positions.dedup();
            }
            assert_eq!(found, expected, "{view:?}");
        }
        let contiguous = View { offset: 0, shape: vec![3, 1 << 40], strides: vec![1 << 40, 1] };
        assert_eq!(contiguous.runs().0, 3 << 40);
    }

    #[test]
    fn strides_near_the_largest_number_do_not_overflow() {
        assert_eq!(View::row_major(&[0, 1 << 40, 1 << 40]), [usize::MAX, 1 << 40, 1]);
        let view = View { offset: 0, shape: vec![3, 1], strides: vec![i64::MAX as usize, i64::MAX as usize] };
        let mut found = Vec::new();
        view.for_each(|position| found.push(position));
        assert_eq!((found, view.end()), (vec![0, i64::MAX as usize, usize::MAX - 1], Some(usize::MAX)));
    }
}
