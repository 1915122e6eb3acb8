//! Methods that split and read slices whose element type is known only at run time.

use super::element::Element;
use super::values::{Values, values};

impl Values<'_> {
    /// Splits the slice at the index `position`. If `position` is beyond the end, the second part is empty.
    pub(crate) fn split_at(self, position: usize) -> (Self, Self) {
        values!(self, slice => {
            let (before, after) = slice.split_at_mut(position.min(slice.len()));
            (Element::values(before), Element::values(after))
        })
    }

    /// Converts the values to `W`, and writes the results to `to`. `to` must have the same length as `self`.
    pub(crate) fn read<W: Element>(&self, to: &mut [W]) {
        values!(self, slice => to.iter_mut().zip(slice.iter()).for_each(|(to, from)| *to = W::from_f64(from.to_f64())));
    }
}
