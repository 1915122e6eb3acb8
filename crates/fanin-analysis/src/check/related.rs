//! Searches for pairs of tensors whose values are related: by a factor, by transposition, by a common beginning or end,
//! or by a correlation.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use statrs::function::beta::beta_reg;

use super::signature::Signature;
use super::structure::dot;
use super::test_result::TestResult;

/// The largest number of tensors with which a tensor is compared by its sketch. They are the next tensors in the list
/// that have as many values.
const MAX_COMPARED: usize = 2048;

/// The number of tensors that are compared together with the following ones.
const TOGETHER: usize = 16;

/// A tensor, or a block of a tensor, with its signature.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The name of the tensor, with the suffix of the block, such as `qkv.weight[0]`.
    pub(crate) name: String,
    /// The number of values.
    pub(crate) values: usize,
    /// A hash of all values with their row-major indices.
    pub(crate) hash: u64,
    /// The signature of the values.
    pub(crate) signature: Signature,
}

/// Two tensors whose values are related.
#[derive(Debug)]
pub(crate) struct Relation {
    /// The index of the tensor that comes first in the list.
    pub(crate) first: usize,
    /// The index of the tensor that comes second in the list.
    pub(crate) second: usize,
    /// The result of the test `related`, which belongs to the second tensor.
    pub(crate) result: TestResult,
}

/// Returns the pairs of related tensors. Pairs of tensors with exactly the same values are left out. The p-value of a
/// correlation is multiplied by the number of compared pairs.
pub(crate) fn relations(tensors: &[Signed]) -> Vec<Relation> {
    let mut relations = common_orders(tensors);
    let known: HashSet<(usize, usize)> = relations.iter().map(|found| (found.first, found.second)).collect();
    let correlated = correlations(tensors).into_iter();
    relations.extend(correlated.filter(|found| !known.contains(&(found.first, found.second))));
    relations.sort_by_key(|found| (found.second, found.first));
    relations
}

/// Returns the pairs of tensors that have a common order: their values are in the same order at the beginning, at the
/// end, or in the first or last column.
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

/// Returns the message on a relation that was found by a common order. `name` is the name of the first tensor. `ends`
/// are the indices of the common order in [`Signature::orders`] of the first and the second tensor. `negated` is
/// whether one order is the reverse of the other. `same_size` is whether both tensors have the same number of values.
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
    let mut by_size: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        by_size.entry(tensor.values).or_default().push(index);
    }
    let units: Vec<Vec<f32>> = tensors.par_iter().map(|tensor| unit(&tensor.signature.sketch)).collect();
    let pairs: f64 = by_size
        .values()
        .map(|group| {
            let n = group.len() as f64;
            n * (n - 1.0).min(2.0 * MAX_COMPARED as f64) / 2.0
        })
        .sum();
    // A task compares a few tensors with those that follow. Their sketches stay in the cache.
    let mut tasks: Vec<(&[usize], usize)> = Vec::new();
    for group in by_size.values().filter(|group| tensors[group[0]].values >= 64) {
        tasks.extend((0..group.len()).step_by(TOGETHER).map(|start| (group.as_slice(), start)));
    }
    let compare = &|first: usize, second: usize| {
        if tensors[first].hash == tensors[second].hash {
            return None;
        }
        let r = dot(&units[first], &units[second]);
        let n = units[first].len() as f64;
        // Pairs with a small correlation are skipped here, because the distribution function is slow.
        if r * r * n < 20.0 {
            return None;
        }
        // The squared correlation r^2 of two samples of n independent normal values is Beta(1/2, (n - 1)/2)
        // distributed.
        let p = beta_reg((n - 1.0) / 2.0, 0.5, 1.0 - (r * r).min(1.0)) * pairs;
        let text = format!("has a correlation of about {r:+.2} with {}", tensors[first].name);
        (p < 1.0).then(|| Relation { first, second, result: TestResult::new("related", p, text) })
    };
    let found = tasks.into_par_iter().flat_map_iter(|(group, start)| {
        let end = group.len().min(start + TOGETHER);
        (start + 1..group.len().min(end + MAX_COMPARED)).flat_map(move |second| {
            let firsts = start.max(second.saturating_sub(MAX_COMPARED))..end.min(second);
            firsts.filter_map(move |first| compare(group[first], group[second]))
        })
    });
    found.collect()
}

/// Returns a vector divided by its Euclidean norm. A vector of zeros, or one that is not finite, is multiplied by 0.
fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    let factor = if length > 0.0 && length.is_finite() { 1.0 / length } else { 0.0 };
    vector.iter().map(|x| x * factor).collect()
}
