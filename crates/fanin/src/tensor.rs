//! The seam between fills and memory: contiguous or strided, of any element type.

use std::ops::Range;

use crate::cancel::check;
use crate::dtype::{DType, Element, Values, values};
use crate::error::Error;
use crate::shape::element_count;

/// Memory to be filled, seen as a tensor.
///
/// Adapters make one over the storage they own: a buffer, a shape and, where the elements do not lie one after
/// another in row-major order, strides. Whoever holds it has been checked: every element lies inside the buffer,
/// and no two lie in one place.
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
    /// `None`: row-major, from the first value on.
    strides: Option<(Vec<isize>, usize)>,
}

impl<'a> TensorMut<'a> {
    /// Row-major memory: the whole of `buffer`.
    ///
    /// # Errors
    /// `Length` if the buffer's length is not the shape's element count, `ShapeOverflow` if that has no count.
    pub fn contiguous<E: Element>(buffer: &'a mut [E], shape: &[usize]) -> Result<Self, Error> {
        Self::from_values(E::values(buffer), shape)
    }

    /// Row-major memory whose element type is known at run time.
    ///
    /// # Errors
    /// As [`TensorMut::contiguous`].
    pub fn from_values(values: Values<'a>, shape: &[usize]) -> Result<Self, Error> {
        let expected = element_count(shape)?;
        if values.len() != expected {
            return Err(Error::Length { shape: shape.to_vec(), expected, found: values.len() });
        }
        Ok(Self { values, shape: shape.to_vec(), strides: None })
    }

    /// Memory with strides, in elements and of either sign; `offset` is where the element of index 0 lies.
    ///
    /// # Errors
    /// `Strides` if the numbers of axes differ, an element lies outside the buffer, or two may lie in one place.
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
                return fail("an element lies outside the buffer");
            }
            // Sorted by stride, each axis must step over all that the smaller ones span.
            let mut spanned = 0u128;
            for axis in axes_in_memory_order(shape, strides) {
                let step = strides[axis].unsigned_abs() as u128;
                if shape[axis] > 1 && step <= spanned {
                    return fail("two elements would lie in one place");
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

    /// The sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the elements lie one after another in row-major order. Axes of size 1 do not count.
    pub fn is_contiguous(&self) -> bool {
        self.strides.is_none()
    }

    /// Whether torch would make a contiguous tensor "like" this one: it keeps the order of the axes in memory, and
    /// closes the gaps.
    pub(crate) fn copy_is_contiguous(&self) -> bool {
        let Some((strides, _)) = &self.strides else { return true };
        axes_in_memory_order(&self.shape, strides).is_sorted_by(|a, b| a > b)
    }

    /// Whether the buffer has elements and nothing else, in whatever order.
    pub(crate) fn covers_buffer(&self) -> bool {
        self.values.len() == self.len()
    }

    /// Some of its elements as a tensor of their own: from the index `start` on, along these axes in this order, so many
    /// along each.
    pub(crate) fn view(&mut self, start: &[usize], axes: &[usize], size: &[usize]) -> TensorMut<'_> {
        let (strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let steps = start.iter().zip(&strides).map(|(&at, &stride)| at as isize * stride);
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

    /// Memory of the same geometry that holds f32.
    pub(crate) fn widened<'b>(&self, memory: &'b mut Vec<f32>) -> TensorMut<'b> {
        memory.resize(self.values.len(), 0.0);
        TensorMut { values: Values::F32(memory), shape: self.shape.clone(), strides: self.strides.clone() }
    }

    /// Rounds the elements of `from`, which has the geometry of this, to their places here.
    pub(crate) fn narrow_from(&mut self, from: &[f32]) {
        let covered = self.covers_buffer();
        let (memory, places) = self.places(Order::Memory);
        values!(memory, memory => {
            if covered {
                for (from, memory) in from.chunks(UNWATCHED).zip(memory.chunks_mut(UNWATCHED)) {
                    check();
                    Element::store(from, memory);
                }
            } else {
                places.watched(|place| Element::store(&from[place..][..1], &mut memory[place..][..1]));
            }
        });
    }

    /// Lets `write` fill contiguous memory in this order: the tensor's own, where its elements lie so, or a copy that is
    /// then put in place.
    pub(crate) fn write_in(&mut self, order: Order, write: impl FnOnce(Values<'_>)) {
        if self.strides.is_none() {
            return write(self.values.reborrow());
        }
        let count = self.len();
        let (memory, places) = self.places(order);
        if is_row_major(&places.sizes, &places.strides) {
            return write(window(memory, places.next as usize, count));
        }
        write_copy(memory, &places, write);
    }

    /// Lets `write` fill a row-major copy of some rows, then puts it in place.
    pub(crate) fn write_rows(&mut self, rows: Range<usize>, write: impl FnOnce(Values<'_>)) {
        let (memory, mut places) = self.places(Order::Index);
        places.next += rows.start as isize * places.strides[0];
        places.left = places.left / places.sizes[0] * rows.len();
        places.sizes[0] = rows.len();
        write_copy(memory, &places, write);
    }

    /// Cuts strided memory across the axis of the longest steps, so that the parts lie apart. Gives that axis, and the parts
    /// with the index along it at which each begins. Told the axis and how many elements stand at one index of it,
    /// `length` says how many indices a part has. `None` for contiguous memory.
    pub(crate) fn slabs(
        self,
        length: impl FnOnce(usize, usize) -> usize,
    ) -> Option<(usize, Vec<(usize, TensorMut<'a>)>)> {
        let Self { values, mut shape, strides } = self;
        let (strides, offset) = strides?;
        let axis = axes_in_memory_order(&shape, &strides).last()?;
        let (size, step) = (shape[axis], strides[axis].unsigned_abs());
        let backwards = strides[axis] < 0;
        let length = length(axis, shape.iter().product::<usize>() / size).clamp(1, size);
        // The other axes' elements reach so far below their first.
        let below = |axis: usize| {
            if strides[axis] < 0 { (shape[axis] - 1) * strides[axis].unsigned_abs() } else { 0 }
        };
        let below: usize = (0..shape.len()).filter(|&other| other != axis).map(below).sum();
        let lowest = offset - below - if backwards { (size - 1) * step } else { 0 };
        let mut rest = split(values, lowest).1;
        let mut parts = Vec::with_capacity(size.div_ceil(length));
        for done in (0..size).step_by(length) {
            let take = length.min(size - done);
            shape[axis] = take;
            let (values, later) = split(rest, take * step);
            rest = later;
            let (begin, offset) =
                if backwards { (size - done - take, below + (take - 1) * step) } else { (done, below) };
            let strides = Some((strides.clone(), offset));
            parts.push((begin, TensorMut { values, shape: shape.clone(), strides }));
        }
        Some((axis, parts))
    }

    /// How far apart the rows of a matrix lie, and its columns.
    pub(crate) fn matrix_steps(&self) -> (isize, isize) {
        match &self.strides {
            Some((strides, _)) => (strides[0], strides[1]),
            None => (self.shape[1] as isize, 1),
        }
    }

    /// The whole buffer and where in it the element at an index lies.
    pub(crate) fn place(&mut self, index: &[usize]) -> (Values<'_>, usize) {
        let (strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let steps = index.iter().zip(strides).map(|(&at, stride)| at as isize * stride);
        let place = offset as isize + steps.sum::<isize>();
        (self.values.reborrow(), place as usize)
    }

    /// The whole buffer and where in it the elements lie: in row-major order of the index, or by ascending place.
    pub(crate) fn places(&mut self, order: Order) -> (Values<'_>, Places) {
        let (mut strides, offset) = self.strides.clone().unwrap_or_else(|| (row_major(&self.shape), 0));
        let mut sizes = self.shape.clone();
        let mut start = offset as isize;
        if order == Order::Memory {
            let axes: Vec<usize> = axes_in_memory_order(&sizes, &strides).collect();
            sizes = axes.iter().rev().map(|&axis| sizes[axis]).collect();
            strides = axes.iter().rev().map(|&axis| strides[axis]).collect();
            for (size, stride) in sizes.iter().zip(&mut strides) {
                if *stride < 0 {
                    start += (*size as isize - 1) * *stride;
                    *stride = -*stride;
                }
            }
        }
        let left = self.len();
        (self.values.reborrow(), Places { index: vec![0; sizes.len()], sizes, strides, next: start, left })
    }
}

/// An order in which to visit the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By row-major index.
    Index,
    /// By place in memory, ascending: the order in which torch draws.
    Memory,
}

/// Iterator over the places of a tensor's elements.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    sizes: Vec<usize>,
    strides: Vec<isize>,
    index: Vec<usize>,
    next: isize,
    left: usize,
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = self.next as usize;
        for axis in (0..self.sizes.len()).rev() {
            self.index[axis] += 1;
            self.next += self.strides[axis];
            if self.index[axis] < self.sizes[axis] {
                break;
            }
            self.next -= self.strides[axis] * self.sizes[axis] as isize;
            self.index[axis] = 0;
        }
        Some(place)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Places {}

/// Places between two looks whether they are still wanted: a millisecond or less.
const UNWATCHED: usize = 1 << 16;

impl Places {
    /// Calls `work` with each place, and looks meanwhile whether that is still wanted.
    pub(crate) fn watched(mut self, mut work: impl FnMut(usize)) {
        while self.left > 0 {
            check();
            self.by_ref().take(UNWATCHED).for_each(&mut work);
        }
    }
}

/// Lets `write` fill a copy in the order of these places, then puts it there.
fn write_copy(memory: Values<'_>, places: &Places, write: impl FnOnce(Values<'_>)) {
    values!(memory, memory => {
        let mut copy = vec![Default::default(); places.left];
        write(Element::values(&mut copy));
        put(memory, places, &copy);
    });
}

/// Writes values to places: those that lie closest one after another, whatever their order in `from`.
fn put<E: Copy>(memory: &mut [E], places: &Places, from: &[E]) {
    let Places { sizes, strides, next, left, .. } = places;
    let axes: Vec<usize> = axes_in_memory_order(sizes, strides).collect();
    let (Some((&inner, outer)), 1..) = (axes.split_first(), *left) else {
        from.iter().for_each(|value| memory[*next as usize] = *value);
        return;
    };
    let from_strides: Vec<usize> = row_major(sizes).into_iter().map(|stride| stride as usize).collect();
    let mut index = vec![0; outer.len()];
    let mut unwatched = 0;
    for _ in 0..*left / sizes[inner] {
        let (mut place, mut first) = (*next, 0);
        for (&at, &axis) in index.iter().zip(outer) {
            place += at as isize * strides[axis];
            first += at * from_strides[axis];
        }
        let mut values = from[first..].iter().step_by(from_strides[inner]).take(sizes[inner]);
        while values.len() > 0 {
            if unwatched >= UNWATCHED {
                check();
                unwatched = 0;
            }
            unwatched += values.len().min(UNWATCHED);
            for value in values.by_ref().take(UNWATCHED) {
                memory[place as usize] = *value;
                place += strides[inner];
            }
        }
        for (at, &axis) in index.iter_mut().zip(outer) {
            *at += 1;
            if *at < sizes[axis] {
                break;
            }
            *at = 0;
        }
    }
}

/// The row-major strides of a shape.
pub(crate) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}

fn is_row_major(shape: &[usize], strides: &[isize]) -> bool {
    let expected = row_major(shape);
    shape
        .iter()
        .zip(strides)
        .zip(expected)
        .all(|((&size, &stride), expected)| size == 1 || stride == expected)
}

/// The axes of more than one element, smallest stride first.
fn axes_in_memory_order(shape: &[usize], strides: &[isize]) -> impl Iterator<Item = usize> + use<> {
    let mut axes: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
    axes.sort_by_key(|&axis| strides[axis].unsigned_abs());
    axes.into_iter()
}

fn split(values: Values<'_>, at: usize) -> (Values<'_>, Values<'_>) {
    values!(values, slice => {
        let (before, after) = slice.split_at_mut(at.min(slice.len()));
        (Element::values(before), Element::values(after))
    })
}

fn window(values: Values<'_>, start: usize, count: usize) -> Values<'_> {
    values!(values, slice => Element::values(&mut slice[start..start + count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(shape: &[usize], strides: &[isize], offset: usize, order: Order) -> Vec<usize> {
        let mut buffer = vec![0f32; 64];
        let mut tensor = TensorMut::strided(&mut buffer, shape, strides, offset).unwrap();
        tensor.places(order).1.collect()
    }

    #[test]
    fn index_order_follows_strides_and_memory_order_ascends() {
        assert_eq!(places(&[2, 3], &[1, 2], 0, Order::Index), [0, 2, 4, 1, 3, 5]);
        assert_eq!(places(&[2, 3], &[1, 2], 0, Order::Memory), [0, 1, 2, 3, 4, 5]);
        assert_eq!(places(&[2, 2], &[-8, 3], 20, Order::Index), [20, 23, 12, 15]);
        assert_eq!(places(&[2, 2], &[-8, 3], 20, Order::Memory), [12, 15, 20, 23]);
        assert_eq!(places(&[], &[], 7, Order::Index), [0], "a scalar is a window of one");
    }

    #[test]
    fn overlap_and_overreach_are_refused() {
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
    fn axes_of_one_do_not_break_contiguity() {
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
