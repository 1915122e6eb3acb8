//! The values of a tensor that are far from its mean, with their indices.

/// The largest number of outliers that are reported for a tensor.
const MAX_OUTLIERS: usize = 8;

/// A value is an outlier if it is more than this many standard deviations from the mean.
const DISTANCE: f64 = 6.0;

/// A value and its row-major index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexedValue {
    /// The row-major index of the value.
    pub index: u64,
    /// The value.
    pub value: f64,
}

/// The eight smallest and the eight largest values of a tensor. The tensor's values are added chunk by chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extremes {
    /// The smallest finite values so far, in ascending order. At most [`MAX_OUTLIERS`] values.
    smallest: Vec<IndexedValue>,
    /// The largest finite values so far, in descending order. At most [`MAX_OUTLIERS`] values.
    largest: Vec<IndexedValue>,
}

impl Extremes {
    /// Adds a chunk of values. `first` is the row-major index of its first value. `min` and `max` are its smallest and
    /// its largest finite value.
    pub(crate) fn add(&mut self, first: u64, values: &[f64], (min, max): (f64, f64)) {
        // `min` and `max` show whether the chunk contains an extreme value. Most chunks contain none, and are not
        // searched.
        if self.smallest.get(MAX_OUTLIERS - 1).is_none_or(|last| min < last.value) {
            insert(&mut self.smallest, first, values, |a, b| a < b);
        }
        if self.largest.get(MAX_OUTLIERS - 1).is_none_or(|last| max > last.value) {
            insert(&mut self.largest, first, values, |a, b| a > b);
        }
    }

    /// Returns the values that are more than 6 standard deviations from the mean: at most 8 values, the farthest first.
    pub(crate) fn outliers(&self, mean: f64, std: f64) -> Vec<IndexedValue> {
        let distance = |outlier: &IndexedValue| (outlier.value - mean).abs();
        let all = self.smallest.iter().chain(&self.largest);
        let mut outliers: Vec<IndexedValue> =
            all.filter(|value| std > 0.0 && distance(value) > DISTANCE * std).copied().collect();
        outliers.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.index.cmp(&b.index)));
        outliers.dedup_by_key(|outlier| outlier.index);
        outliers.truncate(MAX_OUTLIERS);
        outliers
    }
}

/// Inserts the finite values into `list`, which is sorted by `is_before`. The list keeps at most `MAX_OUTLIERS` items.
/// `first` is the row-major index of `values[0]`.
fn insert(list: &mut Vec<IndexedValue>, first: u64, values: &[f64], is_before: impl Fn(f64, f64) -> bool) {
    for (index, &value) in (first..).zip(values) {
        let is_full = list.len() == MAX_OUTLIERS;
        if !value.is_finite() || (is_full && !is_before(value, list[MAX_OUTLIERS - 1].value)) {
            continue;
        }
        let place = list.partition_point(|known| !is_before(value, known.value));
        list.insert(place, IndexedValue { index, value });
        list.truncate(MAX_OUTLIERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_have_their_indices() {
        let mut values: Vec<f64> = (0..10_000).map(|k| f64::from(k * 7919 % 100)).collect();
        (values[1234], values[9876], values[5]) = (1e4, -5e3, f64::NAN);
        let range = |chunk: &[f64]| {
            let finite = chunk.iter().filter(|x| x.is_finite());
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)))
        };
        for size in [1, 7, 5000, 10_000] {
            let mut extremes = Extremes::default();
            for (n, chunk) in values.chunks(size).enumerate() {
                extremes.add((n * size) as u64, chunk, range(chunk));
            }
            let found = extremes.outliers(49.5, 30.0);
            assert_eq!(
                found,
                [IndexedValue { index: 1234, value: 1e4 }, IndexedValue { index: 9876, value: -5e3 }]
            );
            assert_eq!(extremes.outliers(49.5, 0.0), []);
        }
    }

    #[test]
    fn at_most_eight_outliers_are_kept() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let mut extremes = Extremes::default();
        extremes.add(0, &values, (1.0, 20.0));
        let found = extremes.outliers(0.0, 1e-3);
        assert_eq!(
            found.iter().map(|outlier| outlier.value).collect::<Vec<_>>(),
            [20.0, 19.0, 18.0, 17.0, 16.0, 15.0, 14.0, 13.0]
        );
        assert_eq!(found[0].index, 19);
    }
}
