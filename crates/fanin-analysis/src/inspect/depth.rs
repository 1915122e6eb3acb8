//! Parses the position of a tensor from its name. `h.3.attn.weight` has the position 3. `layer2.0.conv1.weight` has the
//! position 2.0 (layer 2, block 0).

use std::collections::HashMap;

use fanin_recipe::{Entry, Planned};

use super::inspection::Inspection;

/// The position and the role of a tensor, read from its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPosition {
    /// The numbers at the ends of the dot-separated components of the name, such as 2 in `layer2`. Components after the
    /// last all-digit component are ignored. For example, the last all-digit component of `layer2.0.conv1.weight` is
    /// `0`. The component `conv1` is therefore ignored, and the numbers are 2 and 0.
    pub(super) position: Vec<u64>,
    /// The name with `*` in place of the numbers in `position`, such as `h.*.attn.weight`. Tensors of the same kind at
    /// different depths have the same role.
    pub(super) role: String,
}

impl NamedPosition {
    /// Parses a tensor name. Returns `None` if no component consists only of digits, as in `conv1.weight`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let components: Vec<&str> = name.split('.').collect();
        let is_number =
            |component: &str| !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
        let last = components.iter().rposition(|component| is_number(component))?;
        let (mut position, mut role) = (Vec::new(), Vec::new());
        for component in &components[..=last] {
            let stem = component.trim_end_matches(|character: char| character.is_ascii_digit());
            match component[stem.len()..].parse() {
                Ok(number) => {
                    position.push(number);
                    role.push(format!("{stem}*"));
                }
                // The component does not end with a digit, or the number overflows 64 bits.
                Err(_) => role.push((*component).to_owned()),
            }
        }
        role.extend(components[last + 1..].iter().map(|component| (*component).to_owned()));
        (!position.is_empty()).then(|| Self { position, role: role.join(".") })
    }
}

/// The standard deviations of the matrices of a checkpoint, by depth.
#[derive(Debug, Default)]
pub(super) struct StdByDepth {
    /// The positions of all points, in ascending order.
    pub(super) positions: Vec<Vec<u64>>,
    /// One series for each role that occurs at several positions. The roles are in the order of the file.
    pub(super) series: Vec<Series>,
    /// The number of matrices that are in no series. Matrices whose values are all equal are not counted.
    pub(super) others: usize,
}

/// The tensors of one role at different positions.
#[derive(Debug)]
pub(super) struct Series {
    /// The role: see [`NamedPosition::role`].
    pub(super) role: String,
    /// The tensors, ordered by position.
    pub(super) points: Vec<Point>,
}

/// A tensor in a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// The index of the tensor's position in [`StdByDepth::positions`].
    pub(super) position: usize,
    /// The index of the tensor in [`Inspection::tensors`].
    pub(super) tensor: usize,
    /// The measured standard deviation, which is above zero.
    pub(super) std: f64,
    /// The planned standard deviation. `None` if there is no plan, or if the planned value is NaN (unknown) or zero.
    pub(super) planned: Option<f64>,
}

impl StdByDepth {
    /// Returns the standard deviations of the matrices in an inspection, by depth.
    pub(super) fn of(inspection: &Inspection) -> Self {
        let is_matrix = |entry: &Entry| entry.dtype.float().is_some() && entry.shape.len() >= 2;
        let matrices = inspection.tensors.iter().enumerate().filter(|(_, tensor)| is_matrix(&tensor.entry));
        // The roles with their points. `Point::position` is 0 until the positions of all points have been collected.
        type PositionedPoint = (Vec<u64>, Point);
        let mut roles: Vec<(String, Vec<PositionedPoint>)> = Vec::new();
        let mut indices: HashMap<String, usize> = HashMap::new();
        let mut count = 0;
        for (tensor, inspected) in matrices {
            let Some(std) = inspected.stats.std().filter(|std| *std > 0.0) else { continue };
            count += 1;
            let Some(NamedPosition { position, role }) = NamedPosition::parse(&inspected.entry.name) else {
                continue;
            };
            let planned = inspected.planned.as_ref().map(Planned::std).filter(|std| *std > 0.0);
            let index = *indices.entry(role.clone()).or_insert(roles.len());
            if index == roles.len() {
                roles.push((role, Vec::new()));
            }
            roles[index].1.push((position, Point { position: 0, tensor, std, planned }));
        }
        roles.retain(|(_, points)| points.iter().any(|(position, _)| *position != points[0].0));

        let mut positions: Vec<Vec<u64>> = roles
            .iter()
            .flat_map(|(_, points)| points.iter().map(|(position, _)| position.clone()))
            .collect();
        positions.sort();
        positions.dedup();
        let mut in_series = 0;
        let series = roles.into_iter().map(|(role, points)| {
            let with_index = |(position, point): (Vec<u64>, Point)| Point {
                position: positions.binary_search(&position).unwrap_or_default(),
                ..point
            };
            let mut points: Vec<Point> = points.into_iter().map(with_index).collect();
            points.sort_by_key(|point| (point.position, point.tensor));
            in_series += points.len();
            Series { role, points }
        });
        let series = series.collect();
        Self { positions, series, others: count - in_series }
    }
}

#[cfg(test)]
mod tests {
    use super::NamedPosition;

    #[test]
    fn position_and_role_are_read_from_the_name() {
        for (name, position, role) in [
            ("transformer.h.3.attn.c_attn.weight", &[3][..], "transformer.h.*.attn.c_attn.weight"),
            ("layer2.0.conv1.weight", &[2, 0], "layer*.*.conv1.weight"),
            ("model.layers.5.experts.7.w1.weight", &[5, 7], "model.layers.*.experts.*.w1.weight"),
            ("0.weight", &[0], "*.weight"),
            ("a..12", &[12], "a..*"),
        ] {
            let expected = NamedPosition { position: position.to_vec(), role: role.to_owned() };
            assert_eq!(NamedPosition::parse(name), Some(expected));
        }
        for name in ["fc.weight", "conv1.weight", "", ".", "h.99999999999999999999.w", "h.\u{664}.w"] {
            assert_eq!(NamedPosition::parse(name), None, "{name}");
        }
    }
}
