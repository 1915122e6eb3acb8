//! Where in a model a tensor stands, as its name tells: the `3` of `h.3.attn.weight`, the `2.0` of `layer2.0.conv1.weight`.

use super::Inspection;
use fanin_recipe::manifest::Entry;

/// The numbers in a name down to its last part that is a number, and the name with stars in their place: what tensors of
/// one kind at different depths have in common. `None` for a name without such a part.
pub fn of(name: &str) -> Option<(Vec<u64>, String)> {
    let parts: Vec<&str> = name.split('.').collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let last = parts.iter().rposition(|part| digits(part))?;
    let (mut place, mut role) = (Vec::new(), Vec::new());
    for part in &parts[..=last] {
        let stem = part.trim_end_matches(|character: char| character.is_ascii_digit());
        match part[stem.len()..].parse() {
            Ok(number) => {
                place.push(number);
                role.push(format!("{stem}*"));
            }
            // No number, or one that counts nothing: beyond 64 bits.
            Err(_) => role.push((*part).to_owned()),
        }
    }
    role.extend(parts[last + 1..].iter().map(|part| (*part).to_owned()));
    (!place.is_empty()).then(|| (place, role.join(".")))
}

/// Stds of a checkpoint's matrices by depth.
#[derive(Debug, Default)]
pub struct Depth {
    /// The places that there are, in order.
    pub places: Vec<Vec<u64>>,
    /// The kinds of tensors that stand in more than one place, in the file's order.
    pub series: Vec<Series>,
    /// Matrices that vary and are in no series.
    pub others: usize,
}

/// Tensors of one kind.
#[derive(Debug)]
pub struct Series {
    /// Their name, with stars for its numbers.
    pub role: String,
    /// In order of their places.
    pub points: Vec<Point>,
}

/// A tensor in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Which of the places.
    pub place: usize,
    /// Which tensor.
    pub tensor: usize,
    /// Its std, above zero.
    pub std: f64,
    /// The planned one.
    pub planned: Option<f64>,
}

/// A point, and the numbers in its tensor's name.
type Placed = (Vec<u64>, Point);

impl Depth {
    /// Those of a inspection.
    pub fn of(inspection: &Inspection) -> Self {
        let matrix = |entry: &Entry| entry.dtype.float().is_some() && entry.shape.len() >= 2;
        let mut kinds: Vec<(String, Vec<Placed>)> = Vec::new();
        let mut numbers = std::collections::HashMap::new();
        let mut all = 0;
        for (tensor, row) in inspection.rows.iter().enumerate().filter(|(_, row)| matrix(&row.entry)) {
            let Some(std) = row.stats.std().filter(|std| *std > 0.0) else { continue };
            all += 1;
            let Some((place, role)) = of(&row.entry.name) else { continue };
            let planned =
                row.planned.as_ref().map(fanin_recipe::recipe::Planned::std).filter(|std| *std > 0.0);
            let number = *numbers.entry(role.clone()).or_insert(kinds.len());
            if number == kinds.len() {
                kinds.push((role, Vec::new()));
            }
            kinds[number].1.push((place, Point { place: 0, tensor, std, planned }));
        }
        kinds.retain(|(_, points)| points.iter().any(|(place, _)| *place != points[0].0));
        let mut places: Vec<Vec<u64>> =
            kinds.iter().flat_map(|(_, points)| points.iter().map(|(place, _)| place.clone())).collect();
        places.sort();
        places.dedup();
        let mut shown = 0;
        let series = kinds.into_iter().map(|(role, points)| {
            let placed = |(place, point): Placed| Point {
                place: places.binary_search(&place).unwrap_or_default(),
                ..point
            };
            let mut points: Vec<Point> = points.into_iter().map(placed).collect();
            points.sort_by_key(|point| (point.place, point.tensor));
            shown += points.len();
            Series { role, points }
        });
        let series = series.collect();
        Self { places, series, others: all - shown }
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn names_tell_places() {
        for (name, place, role) in [
            ("transformer.h.3.attn.c_attn.weight", &[3][..], "transformer.h.*.attn.c_attn.weight"),
            ("layer2.0.conv1.weight", &[2, 0], "layer*.*.conv1.weight"),
            ("model.layers.5.experts.7.w1.weight", &[5, 7], "model.layers.*.experts.*.w1.weight"),
            ("0.weight", &[0], "*.weight"),
            ("a..12", &[12], "a..*"),
        ] {
            assert_eq!(of(name), Some((place.to_vec(), role.to_owned())));
        }
        for name in ["fc.weight", "conv1.weight", "", ".", "h.99999999999999999999.w", "h.\u{664}.w"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
