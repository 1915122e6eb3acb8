//! `TensorMut`, a mutable view of memory as a contiguous or strided tensor of any element type.

use std::ops::Range;

use super::copy::write_copy;
use super::offsets::{Offsets, Order};
use super::strides::{axes_by_stride, is_row_major, row_major};
use crate::dtype::{DType, Element, Values, values};
use crate::error::Error;
use crate::shape::element_count;

/// A mutable view of a buffer as a tensor. The view has a shape, and has strides if the elements are not contiguous in
/// row-major order.
///
/// The constructors check that every element is inside the buffer and that no two elements share memory.
///
/// ```
/// use fanin::TensorMut;
/// let mut buffer = vec![0f32; 6];
/// let columns_first = TensorMut::strided(&mut buffer, &[2, 3], &[1, 2], 0)?;
/// assert!(!columns_first.is_contiguous());
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorMut<'a> {
    values: Values<'a>,
    shape: Vec<usize>,
    /// The strides, and the offset in `values` of the element at index 0 along every axis. `None` if `values` contains
    /// exactly the elements, in row-major order.
    strides: Option<(Vec<isize>, usize)>,
}

impl<'a> TensorMut<'a> {
    /// Creates a view of the whole `buffer` as a contiguous row-major tensor.
    ///
    /// # Errors
    /// `Length` if the length of `buffer` is not the number of elements of the shape. `ShapeOverflow` if the product of
    /// the non-zero sizes does not fit in an `isize`.
    pub fn contiguous<E: Element>(buffer: &'a mut [E], shape: &[usize]) -> Result<Self, Error> {
        Self::from_values(E::values(buffer), shape)
    }

    /// Creates a view of the whole slice `values` as a contiguous row-major tensor. The element type is known only at
    /// run time.
    ///
    /// # Errors
    /// Returns the same errors as [`TensorMut::contiguous`].
    pub fn from_values(values: Values<'a>, shape: &[usize]) -> Result<Self, Error> {
        let expected = element_count(shape)?;
        if values.len() != expected {
            return Err(Error::Length { shape: shape.to_vec(), expected, found: values.len() });
        }
        Ok(Self { values, shape: shape.to_vec(), strides: None })
    }

    /// Creates a view of `buffer` as a strided tensor. Strides are in elements, and can be negative. `offset` is the
    /// position in `buffer` of the element at index 0 along every axis.
    ///
    /// # Errors
    /// `Strides` if the number of strides is not the number of axes, if an element is outside `buffer`, or if two
    /// elements may share memory. `ShapeOverflow` if the product of the non-zero sizes does not fit in an `isize`.
    pub fn strided<E: Element>(
        buffer: &'a mut [E],
        shape: &[usize],
        strides: &[isize],
        offset: usize,
    ) -> Result<Self, Error> {
        let count = element_count(shape)?;
        let fail =
            |reason| Err(Error::Strides { shape: shape.to_vec(), strides: strides.to_vec(), offset, reason });
        if strides.len() != shape.len() {
            return fail("there must be one stride for each axis");
        }
        if count > 0 {
            let (mut low, mut high) = (offset as i128, offset as i128);
            for (&size, &stride) in shape.iter().zip(strides) {
                let reach = (size as i128 - 1) * stride as i128;
                *if reach < 0 { &mut low } else { &mut high } += reach;
            }
            if low < 0 || high >= buffer.len() as i128 {
                return fail("an element is outside the buffer");
            }
            // The axes are visited in ascending order of `|stride|`. No two elements share memory if each `|stride|` is
            // greater than `spanned`, the sum of `(size - 1) * |stride|` over the previous axes.
            let mut spanned = 0u128;
            for axis in axes_by_stride(shape, strides) {
                let step = strides[axis].unsigned_abs() as u128;
                if shape[axis] > 1 && step <= spanned {
                    return fail("two elements share memory");
                }
                spanned += (shape[axis] as u128 - 1) * step;
            }
        }
        let values = E::values(buffer);
        if count == 0 || is_row_major(shape, strides) {
            let start = if count == 0 { 0 } else { offset };
            return Ok(Self { values: window(values, start, count), shape: shape.to_vec(), strides: None });
        }
        Ok(Self { values, shape: shape.to_vec(), strides: Some((strides.to_vec(), offset)) })
    }

    /// Returns the size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns true if the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns true if the elements are contiguous in row-major order. The strides of axes of size 1 are ignored.
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Returns true if `torch.empty_like` of this tensor is contiguous in row-major order. `torch.empty_like` keeps the
    /// memory order of a tensor, but not the gaps between the elements.
    pub(crate) fn copy_is_contiguous(&self) -> bool {
        let Some((strides, _)) = &self.strides else { return true };
        axes_by_stride(&self.shape, strides).is_sorted_by(|a, b| a > b)
    }

    /// Returns true if every value of the buffer is an element of the tensor. The elements can be in any order.
    pub(crate) fn covers_buffer(&self) -> bool {
        self.values.len() == self.len()
    }

    /// Returns a view of a part of this tensor. The view begins at the index `start` of this tensor. Axis `k` of the
    /// view is the axis `axes[k]` of this tensor, and has the size `size[k]`.
    pub(crate) fn view(&mut self, start: &[usize], axes: &[usize], size: &[usize]) -> TensorMut<'_> {
        let (strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let steps = start.iter().zip(&strides).map(|(&index, &stride)| index as isize * stride);
        let first = (offset as isize + steps.sum::<isize>()) as usize;
        let strides: Vec<isize> = axes.iter().map(|&axis| strides[axis]).collect();
        let (values, shape) = (self.values.reborrow(), size.to_vec());
        let count = size.iter().product();
        if count == 0 || is_row_major(size, &strides) {
            let first = if count == 0 { 0 } else { first };
            return TensorMut { values: window(values, first, count), shape, strides: None };
        }
        TensorMut { values, shape, strides: Some((strides, first)) }
    }

    /// Calls `write` with contiguous memory for all elements in the order `order`. This memory is the tensor's own if
    /// the elements are contiguous in this order. Otherwise it is temporary, and is then copied to the tensor.
    pub(crate) fn write_in(&mut self, order: Order, write: impl FnOnce(Values<'_>)) {
        if self.strides.is_none() {
            return write(self.values.reborrow());
        }
        let count = self.len();
        let (memory, offsets) = self.offsets(order);
        if is_row_major(offsets.sizes(), offsets.strides()) {
            return write(window(memory, offsets.first(), count));
        }
        write_copy(memory, &offsets, write);
    }

    /// Calls `write` with temporary row-major memory for the rows `rows` (indices along the first axis). Then copies
    /// this memory to the tensor.
    pub(crate) fn write_rows(&mut self, rows: Range<usize>, write: impl FnOnce(Values<'_>)) {
        let (memory, offsets) = self.offsets(Order::Index);
        write_copy(memory, &offsets.rows(rows), write);
    }

    /// Splits a strided tensor into slabs that do not overlap in memory. A slab is a range of indices along the axis
    /// with the largest stride.
    ///
    /// Returns this axis, and each slab with its first index along the axis. Returns `None` if the memory is
    /// contiguous. `length(axis, n)` must return the number of indices in a slab. `n` is the number of elements at each
    /// index.
    pub(crate) fn slabs(
        self,
        length: impl FnOnce(usize, usize) -> usize,
    ) -> Option<(usize, Vec<(usize, TensorMut<'a>)>)> {
        let Self { values, mut shape, strides } = self;
        let (strides, offset) = strides?;
        let axis = axes_by_stride(&shape, &strides).last()?;
        let (size, step) = (shape[axis], strides[axis].unsigned_abs());
        let backwards = strides[axis] < 0;
        let length = length(axis, shape.iter().product::<usize>() / size).clamp(1, size);
        // Returns the distance in elements from the first element along `axis` to the element with the lowest offset.
        let below = |axis: usize| {
            if strides[axis] < 0 { (shape[axis] - 1) * strides[axis].unsigned_abs() } else { 0 }
        };
        let below: usize = (0..shape.len()).filter(|&other| other != axis).map(below).sum();
        let lowest = offset - below - if backwards { (size - 1) * step } else { 0 };
        let mut rest = values.split_at(lowest).1;
        let mut slabs = Vec::with_capacity(size.div_ceil(length));
        for done in (0..size).step_by(length) {
            let take = length.min(size - done);
            shape[axis] = take;
            let (values, later) = rest.split_at(take * step);
            rest = later;
            let (begin, offset) =
                if backwards { (size - done - take, below + (take - 1) * step) } else { (done, below) };
            let strides = Some((strides.clone(), offset));
            slabs.push((begin, TensorMut { values, shape: shape.clone(), strides }));
        }
        Some((axis, slabs))
    }

    /// Returns the distance in elements from one row of a matrix to the next, and from one column to the next.
    pub(crate) fn matrix_strides(&self) -> (isize, isize) {
        match &self.strides {
            Some((strides, _)) => (strides[0], strides[1]),
            None => (self.shape[1] as isize, 1),
        }
    }

    /// Returns the whole buffer, and the offset in the buffer at which the element with the index `index` is stored.
    pub(crate) fn element(&mut self, index: &[usize]) -> (Values<'_>, usize) {
        let (strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let steps = index.iter().zip(strides).map(|(&index, stride)| index as isize * stride);
        let offset = offset as isize + steps.sum::<isize>();
        (self.values.reborrow(), offset as usize)
    }

    /// Returns the whole buffer, and the offset of each element in the buffer, in the given order.
    pub(crate) fn offsets(&mut self, order: Order) -> (Values<'_>, Offsets) {
        let (strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let offsets = Offsets::new(self.shape.clone(), strides, offset, order);
        (self.values.reborrow(), offsets)
    }
}

/// Returns the values `start..start + count`.
fn window(values: Values<'_>, start: usize, count: usize) -> Values<'_> {
    values!(values, slice => Element::values(&mut slice[start..start + count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(shape: &[usize], strides: &[isize], offset: usize, order: Order) -> Vec<usize> {
        let mut buffer = vec![0f32; 64];
        let mut tensor = TensorMut::strided(&mut buffer, shape, strides, offset).unwrap();
        tensor.offsets(order).1.collect()
    }

    #[test]
    fn offsets_in_index_order_follow_the_strides_and_in_memory_order_ascend() {
        assert_eq!(offsets(&[2, 3], &[1, 2], 0, Order::Index), [0, 2, 4, 1, 3, 5]);
        assert_eq!(offsets(&[2, 3], &[1, 2], 0, Order::Memory), [0, 1, 2, 3, 4, 5]);
        assert_eq!(offsets(&[2, 2], &[-8, 3], 20, Order::Index), [20, 23, 12, 15]);
        assert_eq!(offsets(&[2, 2], &[-8, 3], 20, Order::Memory), [12, 15, 20, 23]);
        assert_eq!(offsets(&[], &[], 7, Order::Index), [0], "a scalar has one element");
    }

    #[test]
    fn strides_that_overlap_or_exceed_the_buffer_are_errors() {
        let mut buffer = vec![0f32; 12];
        for (shape, strides, offset) in [
            (&[3, 4][..], &[4, 1][..], 1),
            (&[3, 4], &[-4, 1], 7),
            (&[3, 4], &[0, 1], 0),
            (&[3, 4], &[2, 1], 0),
            (&[3, 4], &[1, 1], 0),
            (&[3], &[1, 1], 0),
        ] {
            let result = TensorMut::strided(&mut buffer, shape, strides, offset);
            assert!(matches!(result, Err(Error::Strides { .. })), "{shape:?} {strides:?} {offset}");
        }
        assert!(TensorMut::contiguous(&mut buffer, &[usize::MAX, 2]).is_err());
        assert!(TensorMut::contiguous(&mut buffer, &[13]).is_err());
    }

    #[test]
    fn axes_of_size_1_do_not_affect_contiguity() {
        let mut buffer = vec![0f32; 12];
        assert!(TensorMut::strided(&mut buffer, &[3, 1, 4], &[4, 99, 1], 0).unwrap().is_contiguous());
        let transposed = TensorMut::strided(&mut buffer, &[3, 4], &[1, 3], 0).unwrap();
        assert!(
            !transposed.is_contiguous() && !transposed.copy_is_contiguous() && transposed.covers_buffer()
        );
        let every_second = TensorMut::strided(&mut buffer, &[3, 2], &[4, 2], 0).unwrap();
        assert!(
            !every_second.is_contiguous()
                && every_second.copy_is_contiguous()
                && !every_second.covers_buffer()
        );
    }
}
