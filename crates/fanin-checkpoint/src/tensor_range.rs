//! Ranges of a checkpoint's values. A range may begin and end inside a tensor.

use std::ops::Range;

use fanin_recipe::Entry;

/// A range of consecutive values of a checkpoint. The range may begin inside its first tensor and end inside its last
/// tensor. Each tensor is identified by its index in the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorRange {
    tensors: Range<usize>,
    /// The row-major index, in the first tensor, of the first value of the range.
    start_in_first: usize,
    /// The end of the range (exclusive), as a row-major index in the last tensor. `usize::MAX` means the end of the
    /// tensor.
    end_in_last: usize,
}

impl TensorRange {
    /// Returns the range of all values of `tensors`.
    pub(crate) fn whole(tensors: Range<usize>) -> Self {
        Self { tensors, start_in_first: 0, end_in_last: usize::MAX }
    }

    /// Returns the range `from..to`. `from` and `to` are positions: the index of a tensor and a row-major index in it.
    fn between(from: (usize, usize), to: (usize, usize)) -> Self {
        let (end, end_in_last) = if to.1 == 0 { (to.0, usize::MAX) } else { (to.0 + 1, to.1) };
        Self { tensors: from.0..end.max(from.0), start_in_first: from.1, end_in_last }
    }

    /// Returns a range with the same start as this range and another end. The end (exclusive) is the row-major index
    /// `value` in the tensor with the index `tensor`. `count` is the number of values of this tensor.
    pub(crate) fn ending_at(&self, tensor: usize, value: usize, count: usize) -> Self {
        let to = next_position(tensor, value, count);
        Self::between((self.tensors.start, self.start_in_first), to)
    }

    /// Returns an empty range. The range begins at the row-major index `value` in the tensor with the index `tensor`.
    /// `count` is the number of values of this tensor. Call [`ending_at`](Self::ending_at) to set the end of the range.
    pub(crate) fn starting_at(tensor: usize, value: usize, count: usize) -> Self {
        let (tensor, start_in_first) = next_position(tensor, value, count);
        Self { tensors: tensor..tensor, start_in_first, end_in_last: usize::MAX }
    }

    /// Returns the index of the first tensor of the range.
    pub(crate) fn start(&self) -> usize {
        self.tensors.start
    }

    /// Returns the end (exclusive) of the range of tensor indices.
    pub(crate) fn end(&self) -> usize {
        self.tensors.end
    }

    /// Returns an iterator over `(tensor, values)`: the index of a tensor, and the row-major indices of its values in
    /// this range.
    pub(crate) fn tensors<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
        self.tensors.clone().map(|tensor| (tensor, self.values_of(tensor, entries[tensor].values())))
    }

    /// Returns the row-major indices of those values of one tensor that are in this range. `tensor` is the index of the
    /// tensor in the checkpoint. This index must be at least [`start`](Self::start) and below [`end`](Self::end).
    /// `count` is the number of values of the whole tensor.
    pub(crate) fn values_of(&self, tensor: usize, count: usize) -> Range<usize> {
        let start = if tensor == self.tensors.start { self.start_in_first } else { 0 };
        let end = if tensor + 1 == self.tensors.end { self.end_in_last.min(count) } else { count };
        start..end.max(start)
    }

    /// Returns true if the range has no values and no tensors of size 0. A range with a tensor of size 0 is not empty,
    /// because the header of a file must list this tensor.
    pub(crate) fn is_empty(&self, entries: &[Entry]) -> bool {
        self.tensors(entries).all(|(tensor, values)| values.is_empty() && entries[tensor].values() > 0)
    }

    /// Returns the number of values in the range.
    pub(crate) fn values(&self, entries: &[Entry]) -> u64 {
        self.tensors(entries).map(|(_, values)| values.len() as u64).sum()
    }

    /// Returns the number of bytes of the values in the range.
    pub(crate) fn bytes(&self, entries: &[Entry]) -> u64 {
        self.tensors(entries)
            .map(|(tensor, values)| {
                let entry = &entries[tensor];
                entry.bytes_of(values.end).saturating_sub(entry.bytes_of(values.start))
            })
            .fold(0, u64::saturating_add)
    }

    /// Returns the number of bytes of all values of the checkpoint before the range.
    pub(crate) fn bytes_before(&self, entries: &[Entry]) -> u64 {
        let whole: u64 = entries[..self.tensors.start].iter().map(Entry::bytes).sum();
        let in_first = entries
            .get(self.tensors.start)
            .map_or(0, |entry| entry.bytes_of(self.values_of(self.tensors.start, entry.values()).start));
        whole + in_first
    }
}

/// Returns the position of the row-major index `value` in the tensor with the index `tensor`. `count` is the number of
/// values of this tensor. The position is `(tensor, value)`. There is one exception: if `value` is `count`, and `count`
/// is not 0, the position is `(tensor + 1, 0)`, the start of the next tensor.
fn next_position(tensor: usize, value: usize, count: usize) -> (usize, usize) {
    if value == count && count > 0 { (tensor + 1, 0) } else { (tensor, value) }
}

/// Splits a checkpoint into `count` consecutive ranges of about the same number of bytes. Some ranges can be empty. A
/// tensor is split only at multiples of `granularity(tensor)` values. A granularity of `usize::MAX` prevents a split.
pub(crate) fn split_evenly(
    entries: &[Entry],
    count: usize,
    granularity: impl Fn(&Entry) -> usize,
) -> Vec<TensorRange> {
    let total: u64 = entries.iter().map(Entry::bytes).sum();
    let mut positions = vec![(0, 0)];
    let (mut tensor, mut before) = (0, 0u64);
    for number in 1..count {
        let wanted = (u128::from(total) * number as u128 / count as u128) as u64;
        while tensor < entries.len() && before + entries[tensor].bytes() <= wanted {
            before += entries[tensor].bytes();
            tensor += 1;
        }
        let position = match entries.get(tensor) {
            None => (entries.len(), 0),
            Some(entry) => {
                let (size, granularity) = (entry.dtype.size() as u64, granularity(entry));
                let value = ((wanted - before) / size) as usize / granularity * granularity;
                if value >= entry.values() { (tensor + 1, 0) } else { (tensor, value) }
            }
        };
        positions.push(position);
    }
    positions.push((entries.len(), 0));
    positions.windows(2).map(|ends| TensorRange::between(ends[0], ends[1])).collect()
}
