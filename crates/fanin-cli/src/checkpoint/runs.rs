//! The stretches of row-major values that a box of a tensor is made of.

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

#[cfg(test)]
mod tests {
    use super::*;

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
