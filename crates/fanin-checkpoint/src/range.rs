//! A stretch of a checkpoint's values: its tensors one after another, the first and the last perhaps in part.

use std::ops::Range;

use fanin_recipe::manifest::Entry;

/// Values that follow one another in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorRange {
    tensors: Range<usize>,
    /// The first value of the first tensor.
    first: usize,
    /// The last but one value of the last tensor; what it has not is not meant.
    last: usize,
}

impl TensorRange {
    /// All of some tensors.
    pub fn whole(tensors: Range<usize>) -> Self {
        Self { tensors, first: 0, last: usize::MAX }
    }

    /// From one place to another, each a tensor and one of its values.
    fn between(from: (usize, usize), to: (usize, usize)) -> Self {
        let (end, last) = if to.1 == 0 { (to.0, usize::MAX) } else { (to.0 + 1, to.1) };
        Self { tensors: from.0..end.max(from.0), first: from.1, last }
    }

    /// The same, ended before this value of a tensor that has `count`.
    pub fn up_to(&self, tensor: usize, value: usize, count: usize) -> Self {
        let to = if value == count && count > 0 { (tensor + 1, 0) } else { (tensor, value) };
        Self::between((self.tensors.start, self.first), to)
    }

    /// What begins with this value of a tensor that has `count`; its end is for [`Self::up_to`] to say.
    pub fn after(&self, tensor: usize, value: usize, count: usize) -> Self {
        let (tensor, first) = if value == count && count > 0 { (tensor + 1, 0) } else { (tensor, value) };
        Self { tensors: tensor..tensor, first, last: usize::MAX }
    }

    /// Before which tensor it begins.
    pub fn start(&self) -> usize {
        self.tensors.start
    }

    /// After which tensor it ends.
    pub fn end(&self) -> usize {
        self.tensors.end
    }

    /// The tensors, and the row-major values of each.
    pub fn tensors<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
        self.tensors.clone().map(|number| (number, self.of(number, entries[number].values())))
    }

    /// Its values of a tensor that has `count`.
    pub fn of(&self, number: usize, count: usize) -> Range<usize> {
        let first = if number == self.tensors.start { self.first } else { 0 };
        let last = if number + 1 == self.tensors.end { self.last.min(count) } else { count };
        first..last.max(first)
    }

    /// Whether it has no tensor, nor a part of one. An empty tensor is one.
    pub fn is_empty(&self, entries: &[Entry]) -> bool {
        self.tensors(entries).all(|(number, values)| values.is_empty() && entries[number].values() > 0)
    }

    /// Bytes of its values.
    pub fn bytes(&self, entries: &[Entry]) -> u64 {
        self.tensors(entries)
            .map(|(number, values)| {
                let entry = &entries[number];
                entry.bytes_of(values.end).saturating_sub(entry.bytes_of(values.start))
            })
            .fold(0, u64::saturating_add)
    }
}

/// Cuts a checkpoint into `count` stretches of about as many bytes each, some of them empty if there is little. A tensor is
/// cut at multiples of as many values as `step` says; of `usize::MAX`, between tensors only.
pub fn cuts(entries: &[Entry], count: usize, step: impl Fn(&Entry) -> usize) -> Vec<TensorRange> {
    let total: u64 = entries.iter().map(Entry::bytes).sum();
    let mut places = vec![(0, 0)];
    let (mut number, mut before) = (0, 0u64);
    for part in 1..count {
        let wanted = (u128::from(total) * part as u128 / count as u128) as u64;
        while number < entries.len() && before + entries[number].bytes() <= wanted {
            before += entries[number].bytes();
            number += 1;
        }
        let place = match entries.get(number) {
            None => (entries.len(), 0),
            Some(entry) => {
                let (size, step) = (entry.dtype.size() as u64, step(entry));
                let value = ((wanted - before) / size) as usize / step * step;
                if value >= entry.values() { (number + 1, 0) } else { (number, value) }
            }
        };
        places.push(place);
    }
    places.push((entries.len(), 0));
    places.windows(2).map(|ends| TensorRange::between(ends[0], ends[1])).collect()
}
