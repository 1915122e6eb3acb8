//! A tensor cut into boxes that follow one another in the file.

/// Cuts a shape into boxes of at most `most` values, in row-major order: each is a stretch of the row-major values.
/// They are made one at a time: a tensor may have more of them than memory holds.
pub(crate) struct Boxes<'a> {
    shape: &'a [usize],
    /// The axis that is cut: those after it are whole, those before it are stepped through. `None` for a single box.
    axis: Option<usize>,
    step: usize,
    next: Option<Vec<usize>>,
}

impl<'a> Boxes<'a> {
    pub(crate) fn new(shape: &'a [usize], most: usize) -> Self {
        let mut whole = shape.len();
        let mut inner = 1usize;
        while whole > 0 && inner.checked_mul(shape[whole - 1]).is_some_and(|values| values <= most) {
            whole -= 1;
            inner *= shape[whole];
        }
        let next = (!shape.contains(&0)).then(|| vec![0; shape.len()]);
        Self { shape, axis: whole.checked_sub(1), step: (most / inner.max(1)).max(1), next }
    }

    /// Where the box after the one at `start` begins.
    fn after(&self, mut start: Vec<usize>) -> Option<Vec<usize>> {
        let cut = self.axis?;
        let mut step = self.step;
        for axis in (0..=cut).rev() {
            start[axis] = start[axis].saturating_add(step);
            if start[axis] < self.shape[axis] {
                return Some(start);
            }
            start[axis] = 0;
            step = 1;
        }
        None
    }
}

impl Iterator for Boxes<'_> {
    /// Start and size.
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        let mut size = self.shape.to_vec();
        if let Some(axis) = self.axis {
            size[..axis].fill(1);
            size[axis] = self.step.min(self.shape[axis] - start[axis]);
        }
        self.next = self.after(start.clone());
        Some((start, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let mut next = 0;
            for (start, size) in Boxes::new(shape, most) {
                assert!(size.iter().product::<usize>() <= most);
                let first = start.iter().zip(shape).fold(0, |at, (&start, &size)| at * size + start);
                assert_eq!(first, next, "{shape:?} {most} {start:?}");
                next += size.iter().product::<usize>();
            }
            assert_eq!(next, shape.iter().product::<usize>(), "{shape:?} {most}");
        }
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
