//! Searches for pairs of related tensors:
//! - One tensor is a multiple or the transpose of the other.
//! - Both tensors begin or end with the same values.
//! - The values of the tensors are correlated.

use std::collections::{BTreeMap, HashMap, HashSet};

use statrs::function::beta::beta_reg;

use super::correlated::correlated;
use super::signature::Signature;
use super::structure::MIN_VALUES;
use super::test_result::TestResult;

/// The sketch of a tensor (see [`Signature::sketch`]) is compared with the sketches of at most this number of later
/// tensors. Only tensors with the same number of values are compared.
const MAX_COMPARED: usize = 2048;

/// A tensor, or a block of a tensor, with its signature.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The name of the tensor, with the suffix of the block, such as `qkv.weight[0]`.
    pub(crate) name: String,
    /// The number of values.
    pub(crate) values: usize,
    /// A hash of all values with their row-major indices.
    pub(crate) hash: u64,
    /// The numbers by which the values are compared with the values of other tensors. See [`Signature`].
    pub(crate) signature: Signature,
}

/// Two tensors whose values are related.
#[derive(Debug)]
pub(crate) struct Relation {
    /// The smaller of the two tensors' indices in the list.
    pub(crate) first: usize,
    /// The larger of the two tensors' indices in the list.
    pub(crate) second: usize,
    /// The result of the test `related`. It is reported for the second tensor.
    pub(crate) result: TestResult,
}

/// Returns the pairs of related tensors, except pairs with exactly the same values.
///
/// The p-value of a correlation is multiplied by the number of compared pairs. Pairs with a product of 1 or more are
/// left out. In a correct checkpoint, about one pair has a product below 1 by chance.
pub(crate) fn relations(tensors: &[Signed]) -> Vec<Relation> {
    let mut relations = common_orders(tensors);
    let known: HashSet<(usize, usize)> = relations.iter().map(|found| (found.first, found.second)).collect();
    let correlated = correlations(tensors).into_iter();
    relations.extend(correlated.filter(|found| !known.contains(&(found.first, found.second))));
    relations.sort_by_key(|found| (found.second, found.first));
    relations
}

/// Returns the pairs of tensors that share a sort order. A sort order is the list of indices that sorts 20 values of a
/// tensor (NumPy's `argsort`). A sort order and the same list in reverse count as one sort order. [`Signature::orders`]
/// has up to four sort orders for each tensor. For each sort order, a tensor is paired only with the first tensor that
/// has the same sort order. Tensors with exactly the same values are not paired.
fn common_orders(tensors: &[Signed]) -> Vec<Relation> {
    let mut seen: HashMap<u64, (usize, usize, bool)> = HashMap::new();
    let mut reported: HashSet<(usize, usize)> = HashSet::new();
    let mut relations: Vec<Relation> = Vec::new();
    for (second, tensor) in tensors.iter().enumerate() {
        for (end, order) in tensor.signature.orders.iter().enumerate() {
            let Some(order) = order else { continue };
            let Some(&(first, other, reversed)) = seen.get(&order.hash) else {
                seen.insert(order.hash, (second, end, order.reversed));
                continue;
            };
            let a = &tensors[first];
            if first == second
                || (a.values, a.hash) == (tensor.values, tensor.hash)
                || !reported.insert((first, second))
            {
                continue;
            }
            let text = text(&a.name, (other, end), order.reversed != reversed, a.values == tensor.values);
            relations.push(Relation { first, second, result: TestResult::failure("related", text) });
        }
    }
    relations
}

/// Returns the message of the test `related` for two tensors that share a sort order (see [`common_orders`]). `name` is
/// the name of the first tensor. The argument `ends` contains two indices: the index of the shared sort order in
/// [`Signature::orders`] of the first tensor, and its index in [`Signature::orders`] of the second tensor. `negated` is
/// true if the first tensor's list of indices, in reverse, is the second tensor's list of indices. For example,
/// `negated` is true for two tensors x and -2 x.
fn text(name: &str, ends: (usize, usize), negated: bool, same_size: bool) -> String {
    let sign = if negated { "negated " } else { "" };
    match ends {
        (0, 0) | (1, 1) | (2, 2) | (3, 3) if same_size => {
            format!("has the {sign}values of {name}, up to a factor or rounding")
        }
        (0, 0) => format!("begins with the {sign}values of {name}: the same random numbers under two names?"),
        (1, 1) => format!("ends with the {sign}values of {name}: the same random numbers under two names?"),
        (0 | 1, 2 | 3) | (2 | 3, 0 | 1) => format!("has the {sign}values of {name}, transposed"),
        _ => format!("has {sign}values of {name}"),
    }
}

/// Returns the pairs of tensors that have the same number of values and correlated sketches.
fn correlations(tensors: &[Signed]) -> Vec<Relation> {
    let mut by_size: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.values >= MIN_VALUES) {
        by_size.entry(tensor.values).or_default().push(index);
    }
    let pairs: f64 = by_size.values().map(|group| compared_pairs(group.len())).sum();
    let mut relations = Vec::new();
    for group in by_size.values().filter(|group| group.len() > 1) {
        let sketches: Vec<&[f32]> =
            group.iter().map(|&index| tensors[index].signature.sketch.as_slice()).collect();
        let n = sketches[0].len() as f64;
        for pair in correlated(&sketches, MAX_COMPARED, smallest_correlation(n, pairs)) {
            let (first, second) = (group[pair.first], group[pair.second]);
            let r = pair.correlation;
            let p = p_value(r * r, n) * pairs;
            if p < 1.0 && tensors[first].hash != tensors[second].hash {
                let text = format!("has a correlation of about {r:+.2} with {}", tensors[first].name);
                relations.push(Relation { first, second, result: TestResult::new("related", p, text) });
            }
        }
    }
    relations
}

/// Returns how many pairs of tensors are compared, if `count` tensors have the same number of values.
fn compared_pairs(count: usize) -> f64 {
    let neighbours = count.saturating_sub(1).min(MAX_COMPARED);
    (neighbours * count) as f64 - (neighbours * (neighbours + 1) / 2) as f64
}

/// Returns the p-value of a squared correlation of two samples of `n` independent normal values. Squared correlations
/// are Beta(1/2, (n - 1)/2) distributed.
fn p_value(square: f64, n: f64) -> f64 {
    beta_reg((n - 1.0) / 2.0, 0.5, 1.0 - square.min(1.0))
}

/// Returns the positive correlation whose p-value is 1 / `pairs`, for two samples of `n` values.
fn smallest_correlation(n: f64, pairs: f64) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = (below + above) / 2.0;
        if p_value(middle * middle, n) * pairs < 1.0 { above = middle } else { below = middle }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signs::mix;

    /// Returns tensors of 200 pseudo-random values.
    fn tensors(count: usize) -> Vec<Signed> {
        let tensor = |n: usize| {
            let value = |k: usize| mix((n * 200 + k) as u64) as f64 / 2f64.powi(64) - 0.5;
            let values: Vec<f64> = (0..200).map(value).collect();
            let mut signature = Signature::new(0, 0.0, 1.0);
            signature.add(&values);
            Signed { name: format!("t{n}"), values: values.len(), hash: n as u64, signature }
        };
        (0..count).map(tensor).collect()
    }

    #[test]
    fn about_one_of_all_independent_pairs_is_reported() {
        // A single pair is always reported.
        for pair in tensors(60).chunks(2) {
            assert_eq!(relations(pair).len(), 1);
        }
        let of_many = relations(&tensors(400));
        assert!((0..=5).contains(&of_many.len()), "{} pairs", of_many.len());
        assert!(of_many.iter().all(|relation| relation.result.p_value > 1e-4), "{of_many:?}");
    }

    #[test]
    fn the_smallest_reported_correlation_has_the_p_value_of_one_pair() {
        for (n, pairs) in [(64.0, 1.0), (64.0, 50.0), (1024.0, 2e7)] {
            let r = smallest_correlation(n, pairs);
            assert!((p_value(r * r, n) * pairs - 1.0).abs() < 1e-4, "{n} {pairs} {r}");
        }
    }

    #[test]
    fn each_tensor_is_compared_with_the_following_ones() {
        assert_eq!([0, 1, 2, 5].map(compared_pairs), [0.0, 0.0, 1.0, 10.0]);
        let count = MAX_COMPARED + 3;
        let expected = (0..count).map(|n| (count - 1 - n).min(MAX_COMPARED)).sum::<usize>();
        assert_eq!(compared_pairs(count), expected as f64);
    }
}
