//! The data of the chart of stds by depth.

use serde::Serialize;

use crate::inspect::depth::StdByDepth;
use crate::inspect::inspection::Inspection;
use fanin_recipe::text::escaped;

/// The approximate maximum of the total length of the labels on the horizontal axis, in characters. A space after each
/// label is included.
const LABEL_WIDTH: usize = 80;

/// The maximum number of positions that the chart shows in full. A position is a list of numbers, such as the indices
/// of the layer and the expert. If there are more positions, the chart merges positions with the same first number.
const MAX_POSITIONS: usize = 400;

/// The chart of stds by depth.
#[derive(Debug, Serialize)]
pub(super) struct DepthData {
    /// The number of positions on the horizontal axis of the chart.
    positions: usize,
    /// The index of each position that has a label on the horizontal axis, and its label.
    labels: Vec<(usize, String)>,
    series: Vec<SeriesData>,
    others: usize,
}

/// The tensors of a role. Positions and indices are written as differences from the previous number.
#[derive(Debug, Serialize)]
struct SeriesData {
    role: String,
    position: Vec<i64>,
    tensor: Vec<i64>,
}

impl DepthData {
    /// Returns the chart of an inspection. Returns `None` if there are no two matrices whose names differ only in their
    /// positions, such as `h.3.attn.weight` and `h.4.attn.weight`. Matrices whose values are all equal do not count.
    pub(super) fn new(inspection: &Inspection) -> Option<Self> {
        let depth = StdByDepth::of(inspection);
        if depth.positions.len() < 2 {
            return None;
        }
        let (positions, indices) = shown_positions(&depth.positions);
        let labels: Vec<String> = positions
            .iter()
            .map(|position| position.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
            .collect();
        let longest = labels.iter().map(String::len).max().unwrap_or(1);
        let every = (labels.len() * (longest + 1)).div_ceil(LABEL_WIDTH);
        let series = depth.series.iter().map(|series| SeriesData {
            role: escaped(&series.role),
            position: differences(series.points.iter().map(|point| indices[point.position])),
            tensor: differences(series.points.iter().map(|point| point.tensor)),
        });
        Some(Self {
            positions: positions.len(),
            series: series.collect(),
            others: depth.others,
            labels: labels.into_iter().enumerate().step_by(every).collect(),
        })
    }
}

/// Shortens positions for display. Returns the distinct short positions. Also returns, for each element of `positions`,
/// the index of its short position.
///
/// A position is a list of numbers, such as the indices of the layer and the expert. The argument `positions` must be
/// sorted. Leading numbers that all positions have in common are left out. If there are more than `MAX_POSITIONS`
/// positions, only the first number after these common numbers is kept.
fn shown_positions(positions: &[Vec<u64>]) -> (Vec<&[u64]>, Vec<usize>) {
    let length = positions.iter().map(Vec::len).min().unwrap_or(0);
    let same =
        (0..length).take_while(|&k| positions.iter().all(|position| position[k] == positions[0][k])).count();
    let numbers = if positions.len() > MAX_POSITIONS { 1 } else { usize::MAX };
    let mut shown: Vec<&[u64]> = Vec::new();
    let indices = positions.iter().map(|position| {
        let position = &position[same..];
        let position = &position[..position.len().min(numbers)];
        if shown.last() != Some(&position) {
            shown.push(position);
        }
        shown.len() - 1
    });
    let indices = indices.collect();
    (shown, indices)
}

/// Returns the differences between successive numbers. The first difference is the first number itself.
fn differences(numbers: impl Iterator<Item = usize>) -> Vec<i64> {
    let mut before = 0;
    numbers.map(|number| number as i64 - std::mem::replace(&mut before, number as i64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_positions_are_shown_by_their_first_number() {
        let few: Vec<Vec<u64>> = vec![vec![7, 0, 1], vec![7, 0, 2], vec![7, 3, 0]];
        assert_eq!(shown_positions(&few), (vec![&[0, 1][..], &[0, 2], &[3, 0]], vec![0, 1, 2]));
        let many: Vec<Vec<u64>> = (0..900).map(|n| vec![7, n / 300, n % 300]).collect();
        let (shown, indices) = shown_positions(&many);
        assert_eq!((shown, indices[299], indices[300], indices[899]), (vec![&[0][..], &[1], &[2]], 0, 1, 2));
    }

    #[test]
    fn differences_start_at_zero() {
        assert_eq!(differences([3, 4, 2].into_iter()), [3, 1, -2]);
    }
}
