//! The offsets in memory of the elements of a tensor.

use std::ops::Range;

use super::strides::axes_by_stride;
use crate::cancel::check;

/// The order of an iteration over the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The order of ascending row-major indices.
    Index,
    /// The order of ascending offsets in memory. torch draws values in this order.
    Memory,
}

/// An iterator over the offsets in memory of the elements of a tensor.
#[derive(Debug, Clone)]
pub(crate) struct Offsets {
    /// The size of each axis, in the order of iteration: the last axis varies fastest. `strides` has the same order.
    sizes: Vec<usize>,
    strides: Vec<isize>,
    /// The index of the next element.
    index: Vec<usize>,
    /// The offset of the next element.
    next: isize,
    /// The number of elements whose offsets have not been returned yet.
    left: usize,
}

impl Iterator for Offsets {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let offset = self.next as usize;
        for axis in (0..self.sizes.len()).rev() {
            self.index[axis] += 1;
            self.next += self.strides[axis];
            if self.index[axis] < self.sizes[axis] {
                break;
            }
            self.next -= self.strides[axis] * self.sizes[axis] as isize;
            self.index[axis] = 0;
        }
        Some(offset)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Offsets {}

/// The number of elements that are written between two checks for cancellation. Writing these elements takes a
/// millisecond or less.
pub(super) const CHECK_EVERY: usize = 1 << 16;

impl Offsets {
    /// Creates an iterator over the offsets of all elements of a tensor, in the order `order`. `offset` is the offset
    /// of the element whose index is 0 along every axis.
    pub(super) fn new(shape: Vec<usize>, strides: Vec<isize>, offset: usize, order: Order) -> Self {
        let left = shape.iter().product();
        let (mut sizes, mut strides, mut next) = (shape, strides, offset as isize);
        if order == Order::Memory {
            let axes: Vec<usize> = axes_by_stride(&sizes, &strides).collect();
            sizes = axes.iter().rev().map(|&axis| sizes[axis]).collect();
            strides = axes.iter().rev().map(|&axis| strides[axis]).collect();
            for (size, stride) in sizes.iter().zip(&mut strides) {
                if *stride < 0 {
                    next += (*size as isize - 1) * *stride;
                    *stride = -*stride;
                }
            }
        }
        Self { index: vec![0; sizes.len()], sizes, strides, next, left }
    }

    /// Restricts the iteration to the elements whose index along the first axis is in `rows`. The iterator must not
    /// have returned any offset yet.
    pub(super) fn rows(mut self, rows: Range<usize>) -> Self {
        self.next += rows.start as isize * self.strides[0];
        self.left = self.left / self.sizes[0] * rows.len();
        self.sizes[0] = rows.len();
        self
    }

    /// Returns the size of each axis, in the order of iteration.
    pub(super) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Returns the stride of each axis, in the order of iteration.
    pub(super) fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Returns the offset of the next element.
    pub(super) fn first(&self) -> usize {
        self.next as usize
    }

    /// Calls `work` with each remaining offset, and checks for cancellation every [`CHECK_EVERY`] offsets. The check
    /// unwinds if the fill has been cancelled.
    pub(crate) fn for_each_cancellable(mut self, mut work: impl FnMut(usize)) {
        while self.left > 0 {
            check();
            self.by_ref().take(CHECK_EVERY).for_each(&mut work);
        }
    }
}
