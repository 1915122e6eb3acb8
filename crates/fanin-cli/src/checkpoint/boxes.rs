//! A tensor, or a stretch of its row-major values, cut into boxes that follow one another in memory.

use std::ops::Range;

/// Cuts a stretch of a shape's row-major values into boxes of at most `most` values, in row-major order: each is itself a
/// stretch. They are made one at a time: a tensor may have more of them than memory holds.
#[derive(Debug)]
pub struct Boxes<'a> {
    shape: &'a [usize],
    /// Values in a step along each axis.
    steps: Vec<usize>,
    left: Range<usize>,
    most: usize,
}

impl<'a> Boxes<'a> {
    /// All of a shape. Shapes of more values than a `usize` counts are the caller's to refuse.
    pub fn new(shape: &'a [usize], most: usize) -> Self {
        Self::stretch(shape, 0..shape.iter().product(), most)
    }

    /// The values of these row-major indices. A whole row is a box, rows that follow one another are one; what is left at
    /// both ends takes one box an axis at most, beside those that `most` asks for.
    pub fn stretch(shape: &'a [usize], values: Range<usize>, most: usize) -> Self {
        let mut steps = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            steps[axis - 1] = steps[axis] * shape[axis];
        }
        Self { shape, steps, left: values, most: most.max(1) }
    }
}

impl Iterator for Boxes<'_> {
    /// Start and size.
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, left) = (self.left.start, self.left.len());
        if left == 0 {
            return None;
        }
        let start =
            self.steps.iter().zip(self.shape).map(|(step, size)| at / step % size).collect::<Vec<_>>();
        let mut size = vec![1; self.shape.len()];
        // The outermost axis along which whole steps begin here, and fit.
        let room = left.min(self.most);
        let axis = self.steps.iter().position(|&step| at.is_multiple_of(step) && step <= room);
        let mut taken = 1;
        if let Some(axis) = axis {
            size[axis] = (room / self.steps[axis]).min(self.shape[axis] - start[axis]);
            size[axis + 1..].copy_from_slice(&self.shape[axis + 1..]);
            taken = size[axis] * self.steps[axis];
        }
        self.left.start += taken;
        Some((start, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether boxes are the row-major indices `values`, one after another.
    fn assert_stretch(boxes: Boxes<'_>, shape: &[usize], values: Range<usize>, most: usize) -> usize {
        let (mut next, mut count) = (values.start, 0);
        for (start, size) in boxes {
            let taken = size.iter().product::<usize>();
            assert!((1..=most).contains(&taken), "{shape:?} {most} {size:?}");
            let first = start.iter().zip(shape).fold(0, |at, (&start, &size)| at * size + start);
            assert_eq!(first, next, "{shape:?} {most} {start:?}");
            assert!(start.iter().zip(&size).zip(shape).all(|((start, size), all)| start + size <= *all));
            // A stretch: after the first axis longer than one, all are whole.
            let cut = size.iter().position(|&size| size > 1).map_or(size.len(), |axis| axis + 1);
            assert_eq!(size[cut..], shape[cut..]);
            next += taken;
            count += 1;
        }
        assert_eq!(next, values.end, "{shape:?} {most}");
        count
    }

    #[test]
    fn boxes_are_consecutive_stretches_and_cover_the_shape() {
        for (shape, most) in [
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
            assert_stretch(Boxes::new(shape, most), shape, 0..count, most);
            for start in 0..count {
                for end in start..=count {
                    assert_stretch(Boxes::stretch(shape, start..end, most), shape, start..end, most);
                }
            }
        }
        // Uncut, there are few: the ends of a row at each axis, and what lies between.
        assert_eq!(Boxes::stretch(&[9, 8, 7], 3..500, usize::MAX).count(), 5);
    }

    #[test]
    fn boxes_without_number_take_no_memory() {
        let shape = [1 << 40, 1 << 20];
        let mut boxes = Boxes::new(&shape, 1 << 21);
        assert_eq!(boxes.next(), Some((vec![0, 0], vec![2, 1 << 20])));
        assert_eq!(boxes.next(), Some((vec![2, 0], vec![2, 1 << 20])));
        let shape = [usize::MAX / 2];
        assert_eq!(Boxes::new(&shape, 7).nth(1), Some((vec![7], vec![7])));
    }
}
