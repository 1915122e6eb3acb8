//! Regions of a tensor: their contiguous runs, and a tensor cut into regions that are contiguous.

use std::ops::Range;

/// The row-major indices of a box, in order: one stretch for all that follow one another.
#[derive(Debug, Clone)]
pub struct Runs {
    /// Of each axis before the stretch: the box's size, and the values in a step of the whole.
    outer: Vec<(usize, usize)>,
    at: Vec<usize>,
    first: usize,
    length: usize,
    left: usize,
}

impl Runs {
    /// The box that begins at `start` and has these sizes, in a tensor of that shape.
    pub fn new(shape: &[usize], start: &[usize], extent: &[usize]) -> Self {
        let (mut step, mut steps) = (1, vec![1; shape.len()]);
        for axis in (0..shape.len()).rev() {
            steps[axis] = step;
            step *= shape[axis];
        }
        // From the last axis on: while all of an axis is in the box, the one before it goes on without a gap.
        let whole = (0..shape.len()).rev().take_while(|&axis| extent[axis] == shape[axis]).count();
        let joined = (shape.len() - whole).saturating_sub(1);
        let outer: Vec<(usize, usize)> = (0..joined).map(|axis| (extent[axis], steps[axis])).collect();
        Self {
            at: vec![0; joined],
            first: start.iter().zip(&steps).map(|(start, step)| start * step).sum(),
            length: extent[joined..].iter().product(),
            left: if extent.contains(&0) { 0 } else { outer.iter().map(|(size, _)| size).product() },
            outer,
        }
    }
}

impl Iterator for Runs {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let start =
            self.first + self.at.iter().zip(&self.outer).map(|(at, (_, step))| at * step).sum::<usize>();
        for (at, (size, _)) in self.at.iter_mut().zip(&self.outer).rev() {
            *at += 1;
            if *at < *size {
                break;
            }
            *at = 0;
        }
        Some(start..start + self.length)
    }
}

/// Cuts a stretch of a shape's row-major values into boxes of at most `most` values, in row-major order: each is itself a
/// stretch. They are made one at a time: a tensor may have more of them than memory holds.
#[derive(Debug)]
pub struct Chunks<'a> {
    shape: &'a [usize],
    /// Values in a step along each axis.
    steps: Vec<usize>,
    left: Range<usize>,
    most: usize,
}

impl<'a> Chunks<'a> {
    /// All of a shape. Shapes of more values than a `usize` counts are the caller's to refuse.
    pub fn new(shape: &'a [usize], most: usize) -> Self {
        Self::range(shape, 0..shape.iter().product(), most)
    }

    /// The values of these row-major indices. A whole row is a box, rows that follow one another are one; what is left at
    /// both ends takes one box an axis at most, beside those that `most` asks for.
    pub fn range(shape: &'a [usize], values: Range<usize>, most: usize) -> Self {
        let mut steps = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            steps[axis - 1] = steps[axis] * shape[axis];
        }
        Self { shape, steps, left: values, most: most.max(1) }
    }
}

impl Iterator for Chunks<'_> {
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
    fn assert_stretch(boxes: Chunks<'_>, shape: &[usize], values: Range<usize>, most: usize) -> usize {
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
            assert_stretch(Chunks::new(shape, most), shape, 0..count, most);
            for start in 0..count {
                for end in start..=count {
                    assert_stretch(Chunks::range(shape, start..end, most), shape, start..end, most);
                }
            }
        }
        // Uncut, there are few: the ends of a row at each axis, and what lies between.
        assert_eq!(Chunks::range(&[9, 8, 7], 3..500, usize::MAX).count(), 5);
    }

    #[test]
    fn boxes_without_number_take_no_memory() {
        let shape = [1 << 40, 1 << 20];
        let mut boxes = Chunks::new(&shape, 1 << 21);
        assert_eq!(boxes.next(), Some((vec![0, 0], vec![2, 1 << 20])));
        assert_eq!(boxes.next(), Some((vec![2, 0], vec![2, 1 << 20])));
        let shape = [usize::MAX / 2];
        assert_eq!(Chunks::new(&shape, 7).nth(1), Some((vec![7], vec![7])));
    }

    #[test]
    fn runs_are_the_indices_of_the_box_in_order() {
        for (shape, start, extent, count) in [
            (&[][..], &[][..], &[][..], 1),
            (&[7], &[2], &[3], 1),
            (&[4, 5], &[1, 0], &[2, 5], 1),
            (&[4, 5], &[1, 2], &[2, 2], 2),
            (&[4, 5], &[0, 1], &[4, 1], 4),
            (&[3, 4, 5], &[1, 1, 0], &[2, 2, 5], 2),
            (&[3, 4, 5], &[0, 2, 1], &[3, 1, 4], 3),
            (&[3, 2, 2, 3], &[0, 0, 1, 2], &[3, 2, 1, 1], 6),
            (&[3, 4], &[1, 1], &[0, 2], 0),
        ] {
            let mut indices = vec![0];
            for axis in 0..shape.len() {
                let along = start[axis]..start[axis] + extent[axis];
                indices =
                    indices.iter().flat_map(|at| along.clone().map(move |k| at * shape[axis] + k)).collect();
            }
            let runs = Runs::new(shape, start, extent);
            assert_eq!(runs.clone().count(), count, "{shape:?} {start:?} {extent:?}");
            assert_eq!(runs.flatten().collect::<Vec<_>>(), indices, "{shape:?} {start:?} {extent:?}");
        }
    }
}
