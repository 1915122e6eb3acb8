//! `Chunks`, which splits a range of row-major indices into regions.

use std::ops::Range;

/// An iterator over regions of a tensor that together cover a range of row-major indices.
///
/// Each region has at most `max_values` elements, and its elements are one contiguous range of row-major indices. The
/// regions are returned in row-major order. Each item is `(start, size)`: the start index and the size of a region
/// along each axis. The iterator computes one region at a time, because a list of all regions might not fit in memory.
///
/// ```
/// use fanin::region::Chunks;
/// let chunks: Vec<_> = Chunks::new(&[3, 4], 8).collect();
/// assert_eq!(chunks, [(vec![0, 0], vec![2, 4]), (vec![2, 0], vec![1, 4])]);
/// ```
#[derive(Debug)]
pub struct Chunks<'a> {
    shape: &'a [usize],
    /// The row-major stride of each axis.
    strides: Vec<usize>,
    left: Range<usize>,
    max_values: usize,
}

impl<'a> Chunks<'a> {
    /// Creates an iterator over regions that cover a whole tensor of shape `shape`. The number of elements of the
    /// tensor must fit in `usize`.
    pub fn new(shape: &'a [usize], max_values: usize) -> Self {
        Self::range(shape, 0..shape.iter().product(), max_values)
    }

    /// Creates an iterator over regions that cover the range `values` of row-major indices of a tensor of shape
    /// `shape`.
    ///
    /// Each region is as large as possible: its row-major indices are one contiguous range, and it has at most
    /// `max_values` elements. A `max_values` of 0 is treated as 1.
    ///
    /// If `values` begins or ends inside a row or a plane, the first or the last regions are smaller. For example, the
    /// range `3..500` of the shape `[9, 8, 7]` gives five regions if `max_values` is large: the rest of a row, the rest
    /// of a plane, whole planes, whole rows of a plane, and the beginning of a row. For a large `max_values`, a tensor
    /// with `n >= 1` axes gives at most `2 * n - 1` regions: at most `n - 1` smaller regions at each end of `values`,
    /// and one region between them.
    pub fn range(shape: &'a [usize], values: Range<usize>, max_values: usize) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Self { shape, strides, left: values, max_values: max_values.max(1) }
    }
}

impl Iterator for Chunks<'_> {
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, left) = (self.left.start, self.left.len());
        if left == 0 {
            return None;
        }
        let start = self
            .strides
            .iter()
            .zip(self.shape)
            .map(|(stride, size)| first / stride % size)
            .collect::<Vec<_>>();
        let mut size = vec![1; self.shape.len()];
        // The region contains all indices of the axes after `axis`. `axis` is the outermost axis for which this is
        // possible: its stride divides `first` and is at most `room`.
        let room = left.min(self.max_values);
        let axis = self.strides.iter().position(|&stride| first.is_multiple_of(stride) && stride <= room);
        let mut taken = 1;
        if let Some(axis) = axis {
            size[axis] = (room / self.strides[axis]).min(self.shape[axis] - start[axis]);
            size[axis + 1..].copy_from_slice(&self.shape[axis + 1..]);
            taken = size[axis] * self.strides[axis];
        }
        self.left.start += taken;
        Some((start, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the regions are contiguous and cover the row-major indices `values` in order. Returns the number of
    /// regions.
    fn assert_covers(chunks: Chunks<'_>, shape: &[usize], values: Range<usize>, max: usize) -> usize {
        let (mut next, mut count) = (values.start, 0);
        for (start, size) in chunks {
            let taken = size.iter().product::<usize>();
            assert!((1..=max).contains(&taken), "{shape:?} {max} {size:?}");
            let first = start.iter().zip(shape).fold(0, |index, (&start, &size)| index * size + start);
            assert_eq!(first, next, "{shape:?} {max} {start:?}");
            assert!(start.iter().zip(&size).zip(shape).all(|((start, size), all)| start + size <= *all));
            // A region is contiguous if all axes after the first axis with more than one index are complete.
            let inner = size.iter().position(|&size| size > 1).map_or(size.len(), |axis| axis + 1);
            assert_eq!(size[inner..], shape[inner..]);
            next += taken;
            count += 1;
        }
        assert_eq!(next, values.end, "{shape:?} {max}");
        count
    }

    #[test]
    fn chunks_are_contiguous_and_cover_the_shape_in_order() {
        for (shape, max) in [
            (&[][..], 4),
            (&[10], 4),
            (&[10], 100),
            (&[3, 5], 4),
            (&[3, 5], 7),
            (&[3, 5], 10),
            (&[2, 3, 4], 5),
            (&[2, 3, 4], 1),
            (&[2, 1, 3, 2], 3),
            (&[0, 3], 4),
            (&[7, 0], 4),
        ] {
            let count = shape.iter().product();
            assert_covers(Chunks::new(shape, max), shape, 0..count, max);
            for start in 0..count {
                for end in start..=count {
                    assert_covers(Chunks::range(shape, start..end, max), shape, start..end, max);
                }
            }
        }
        // The five regions are a part of a row, whole rows, whole planes, whole rows, and a part of a row.
        assert_eq!(Chunks::range(&[9, 8, 7], 3..500, usize::MAX).count(), 5);
    }

    #[test]
    fn chunks_of_huge_shapes_need_little_memory() {
        let shape = [1 << 40, 1 << 20];
        let mut chunks = Chunks::new(&shape, 1 << 21);
        assert_eq!(chunks.next(), Some((vec![0, 0], vec![2, 1 << 20])));
        assert_eq!(chunks.next(), Some((vec![2, 0], vec![2, 1 << 20])));
        let shape = [usize::MAX / 2];
        assert_eq!(Chunks::new(&shape, 7).nth(1), Some((vec![7], vec![7])));
    }
}
