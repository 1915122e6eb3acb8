//! `Region`, a region of a tensor, and `Runs`, the contiguous ranges of row-major indices of a region.

use std::ops::Range;

/// A region of a tensor: a start index and a size along each axis of the tensor.
///
/// ```
/// use fanin::region::Region;
/// // Rows 1 and 2, columns 3 to 4 of a matrix of 4 rows and 5 columns.
/// let region = Region::new(&[4, 5], &[1, 3], &[2, 2]);
/// assert_eq!(region.runs().collect::<Vec<_>>(), [8..10, 13..15]);
/// ```
#[derive(Debug, Clone)]
pub struct Region {
    axes: Vec<RegionAxis>,
    /// The number of leading axes whose indices [`Runs`] iterates over. A run spans all remaining axes.
    outer: usize,
    /// The number of values in a run.
    run: usize,
}

/// An axis of a [`Region`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegionAxis {
    /// The first index of the region along the axis.
    pub(crate) start: usize,
    /// The number of indices of the region along the axis.
    pub(crate) size: usize,
    /// The number of indices of the whole tensor along the axis.
    whole: usize,
    /// The row-major stride of the axis in the whole tensor.
    stride: usize,
}

impl Region {
    /// Creates a region of a tensor of shape `shape`. The region begins at the index `start`, and has the shape `size`.
    ///
    /// `start` and `size` must have one entry for each axis of `shape`, and `start + size` must not exceed `shape`.
    pub fn new(shape: &[usize], start: &[usize], size: &[usize]) -> Self {
        let axis = |k: usize| RegionAxis { start: start[k], size: size[k], whole: shape[k], stride: 1 };
        Self::along((0..shape.len()).map(axis).collect())
    }

    /// Creates the region that consists of all elements of a tensor of shape `shape`.
    pub fn whole(shape: &[usize]) -> Self {
        let axis = |&size: &usize| RegionAxis { start: 0, size, whole: size, stride: 1 };
        Self::along(shape.iter().map(axis).collect())
    }

    /// Creates the region with these axes, and sets the `stride` of each axis.
    fn along(mut axes: Vec<RegionAxis>) -> Self {
        let mut stride = 1;
        for axis in axes.iter_mut().rev() {
            axis.stride = stride;
            stride *= axis.whole;
        }
        // The region contains all indices of the axes after `outer`. The elements with the same indices along the axes
        // before `outer` are therefore contiguous: they are one run.
        let outer = axes.iter().rposition(|axis| axis.size != axis.whole).unwrap_or(0);
        let run = axes[outer..].iter().map(|axis| axis.size).product();
        Self { axes, outer, run }
    }

    /// Returns the number of elements of the region.
    pub fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.size).product()
    }

    /// Returns true if the region has no elements.
    pub fn is_empty(&self) -> bool {
        self.axes.iter().any(|axis| axis.size == 0)
    }

    /// Returns an iterator over the runs of the region in ascending order. A run is a contiguous range of row-major
    /// indices of the whole tensor.
    pub fn runs(&self) -> Runs {
        self.all().runs()
    }

    pub(crate) fn axes(&self) -> &[RegionAxis] {
        &self.axes
    }

    /// Returns the slice of all values of the region.
    pub(crate) fn all(&self) -> RegionSlice<'_> {
        RegionSlice { region: self, first: 0, length: self.len() }
    }

    /// Returns the columns of the region as contiguous ranges. The tensor is treated as a matrix: the first axis is the
    /// rows, and all other axes are flattened to the columns.
    pub(crate) fn runs_of_row(&self) -> Vec<Range<usize>> {
        Region::along(self.axes[1..].to_vec()).runs().collect()
    }
}

/// A slice of a [`Region`]: a range of the region's values, numbered in the row-major order of the region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegionSlice<'a> {
    region: &'a Region,
    /// The number of values of the region before the slice.
    first: usize,
    length: usize,
}

impl RegionSlice<'_> {
    /// Returns the values `first..first + length` of this slice as a slice.
    pub(crate) fn slice(self, first: usize, length: usize) -> Self {
        debug_assert!(first + length <= self.length);
        Self { first: self.first + first, length, ..self }
    }

    /// Converts positions in this slice to row-major indices of the whole tensor. The indices replace the contents of
    /// `global`. `positions` must be in ascending order.
    pub(crate) fn global_indices(self, positions: &[u32], global: &mut Vec<u64>) {
        global.clear();
        let (mut rest, mut end) = (positions, 0);
        for run in self.runs() {
            let begin = end;
            end += run.len() as u64;
            let in_run = |position: &u32| u64::from(*position) < end;
            let count = match rest.last() {
                None => break,
                Some(last) if in_run(last) => rest.len(),
                Some(_) => rest.iter().take_while(|position| in_run(position)).count(),
            };
            let (now, later) = rest.split_at(count);
            let first = run.start as u64;
            global.extend(now.iter().map(|position| first + (u64::from(*position) - begin)));
            rest = later;
        }
        debug_assert!(rest.is_empty(), "a position is beyond the slice");
    }

    /// Calls `write(first, memory)` for each run of this slice. A run is a contiguous range of row-major indices of the
    /// whole tensor, and `first` is the first index of the run. `out` is the memory of the whole slice, and `memory` is
    /// the memory of the run in `out`.
    pub(crate) fn for_each_run<E>(self, mut out: &mut [E], mut write: impl FnMut(u64, &mut [E])) {
        for run in self.runs() {
            let (now, later) = std::mem::take(&mut out).split_at_mut(run.len());
            write(run.start as u64, now);
            out = later;
        }
    }

    /// Returns an iterator over the runs of this slice in ascending order. A run is a contiguous range of row-major
    /// indices of the whole tensor.
    pub(crate) fn runs(self) -> Runs {
        let Self { region, first, length } = self;
        let mut next = region.axes.iter().map(|axis| axis.start * axis.stride).sum();
        let (mut before, mut skip) = (0, 0);
        if length > 0 {
            (before, skip) = (first / region.run, first % region.run);
        }
        let step = |axis: &RegionAxis| Step { index: 0, size: axis.size, stride: axis.stride };
        let mut outer: Vec<Step> = region.axes[..region.outer].iter().map(step).collect();
        for step in outer.iter_mut().rev() {
            if before == 0 {
                break;
            }
            step.index = before % step.size;
            before /= step.size;
            next += step.index * step.stride;
        }
        Runs { outer, next, run: region.run, skip, left: length }
    }
}

/// An iterator over the contiguous ranges of row-major indices of a region. Created by [`Region::runs`].
#[derive(Debug, Clone)]
pub struct Runs {
    /// The leading axes over which the iterator iterates, each with its current index.
    outer: Vec<Step>,
    /// The row-major index at which the next run begins.
    next: usize,
    /// The number of values in a whole run.
    run: usize,
    /// The number of values at the beginning of the next run that are skipped, because they are before the slice.
    skip: usize,
    /// The number of values of the slice that have not been returned yet.
    left: usize,
}

/// An axis over which [`Runs`] iterates.
#[derive(Debug, Clone, Copy)]
struct Step {
    index: usize,
    size: usize,
    stride: usize,
}

impl Iterator for Runs {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        if self.left == 0 {
            return None;
        }
        let first = self.next + self.skip;
        let length = self.left.min(self.run - self.skip);
        self.skip = 0;
        self.left -= length;
        for step in self.outer.iter_mut().rev() {
            step.index += 1;
            self.next += step.stride;
            if step.index < step.size {
                break;
            }
            self.next -= step.stride * step.size;
            step.index = 0;
        }
        Some(first..first + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_row_major_indices_of_the_region_in_order() {
        for (shape, start, size, count) in [
            (&[][..], &[][..], &[][..], 1),
            (&[7], &[2], &[3], 1),
            (&[4, 5], &[1, 0], &[2, 5], 1),
            (&[4, 5], &[1, 2], &[2, 2], 2),
            (&[4, 5], &[0, 1], &[4, 1], 4),
            (&[3, 4, 5], &[1, 1, 0], &[2, 2, 5], 2),
            (&[3, 4, 5], &[0, 2, 1], &[3, 1, 4], 3),
            (&[3, 2, 2, 3], &[0, 0, 1, 2], &[3, 2, 1, 1], 6),
            (&[3, 4], &[1, 1], &[0, 2], 0),
            (&[3, 4], &[1, 1], &[2, 0], 0),
        ] {
            let mut indices = vec![0];
            for axis in 0..shape.len() {
                let along = start[axis]..start[axis] + size[axis];
                indices = indices
                    .iter()
                    .flat_map(|index| along.clone().map(move |k| index * shape[axis] + k))
                    .collect();
            }
            let region = Region::new(shape, start, size);
            assert_eq!((region.len(), region.is_empty()), (indices.len(), indices.is_empty()));
            assert_eq!(region.runs().count(), count, "{shape:?} {start:?} {size:?}");
            assert_eq!(region.runs().flatten().collect::<Vec<_>>(), indices, "{shape:?} {start:?} {size:?}");
            for first in 0..indices.len() {
                for length in 0..=indices.len() - first {
                    let slice = region.all().slice(first, length);
                    let expected = &indices[first..first + length];
                    assert_eq!(slice.runs().flatten().collect::<Vec<_>>(), expected);
                    let positions: Vec<u32> = (0..length as u32).step_by(2).collect();
                    let mut global = vec![7];
                    slice.global_indices(&positions, &mut global);
                    let expected: Vec<u64> = expected.iter().step_by(2).map(|&index| index as u64).collect();
                    assert_eq!(global, expected);
                }
            }
        }
    }
}
