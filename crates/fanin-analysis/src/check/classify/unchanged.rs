//! Recognizes unchanged values of torch's generator and of the native stream.
//!
//! These generators compute an f32 value from 24 or 32 random bits. The values, or functions of the values, are
//! therefore multiples of a step:
//! - torch's uniform values on `[-b, b)` are multiples of `b / 2^23`.
//! - The native stream's uniform values on `[-b, b)` are multiples of `b / 2^31`.
//! - torch's normal values come in pairs `r cos t` and `r sin t`. The angle `t` is a multiple of `2 pi / 2^24`.
//! - The native stream's normal values come in such pairs too. A squared radius `r^2` below the median is
//!   `-2 ln(1 - k / 2^24)` times the variance, where `k` is an integer.
//!
//! Near 0, adjacent f32 values are much closer together than adjacent multiples, so a changed value is rarely a
//! multiple. After one update by an optimizer, the multiples can no longer be recognized. Values of other generators
//! are not such multiples either. The origin of values that are not multiples is therefore unknown.
//!
//! If only some rows of a matrix consist of multiples, the other rows were changed. For example, an optimizer may
//! update only the used rows of an embedding.

use std::f64::consts::TAU;

use fanin::{DType, Torch};

use super::scan::Scan;
use crate::check::distribution::Univariate;
use crate::error::Result;

/// The largest number of values that are read to find the origin of a tensor. The limit is higher for uniform values of
/// the native stream.
const MAX_VALUES: usize = 1 << 16;

/// The smallest number of values for which a uniform tensor is compared with the native stream. The stream's values on
/// `[-b, b)` are multiples of `b / 2^31`. Only values of magnitude below `b / 2^11` are compared, because f32 rounds
/// larger values too coarsely. In a tensor of 200,000 values, only about 100 values are that small.
const NATIVE_UNIFORM: usize = 200_000;

/// The smallest number of values for which an origin is determined. For fewer values, it is [`Origin::Unknown`].
const MIN_VALUES: usize = 256;

/// The largest number of values that are compared for each tried step.
const MAX_COMPARED: usize = 400;

/// The largest number of candidate steps that are tried for a tensor. If there are more candidates, the origin is
/// [`Origin::Unknown`]. For uniform values, each candidate is one of the smallest magnitudes of the tensor, divided by
/// an integer. In a small tensor, the smallest magnitude may be a large multiple of the step. Many integers are then
/// possible.
const MAX_STEPS: u64 = 2048;

/// Values count as multiples of a step only if their [`significance`] is greater than this limit. The limit is high,
/// because many candidate steps are tried: up to about a million for a checkpoint of 500 tensors.
const MIN_SIGNIFICANCE: f64 = 10.0;

/// Where the values of a tensor come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A known generator drew the values. Since then, the values were not changed, except by a common factor.
    Unchanged,
    /// A known generator drew the values of a matrix. Since then, some rows were changed, and the other rows were not.
    PartlyChanged {
        /// The number of rows that were not changed.
        unchanged: usize,
        /// The number of rows that were changed.
        changed: usize,
    },
    /// The generator is unknown, or the values were changed.
    Unknown,
}

/// A row with fewer [`Agreement`]s than this counts neither as changed nor as unchanged.
const MIN_PAIRS: f64 = 8.0;

/// How close a number is to a multiple of a step. The number is a value of a tensor, or is computed from a pair of
/// values, such as the angle of the pair.
#[derive(Debug, Clone, Copy)]
struct Agreement {
    /// The index of the tensor's row that contains the value, or the pair of values.
    row: usize,
    /// `cos(2 pi d / step)`. Here `d` is the distance from the number to the nearest multiple of the step. The cosine
    /// is 1 if the number is a multiple. For numbers that are not multiples, the cosine is 0 on average.
    cosine: f64,
}

/// Returns the [`Origin`] of a tensor's values. The argument `distribution` was fitted to the values.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(super) fn origin(scan: &Scan<'_>, distribution: &Univariate) -> Result<Origin> {
    if scan.dtype != DType::F32 || scan.count() < MIN_VALUES {
        return Ok(Origin::Unknown);
    }
    let width = scan.count() / scan.shape()[0];
    let found = of_values(&unrepeated_values(scan, MAX_VALUES)?, width, distribution);
    match *distribution {
        Univariate::Uniform { low, high }
            if found == Origin::Unknown && low == -high && scan.count() >= NATIVE_UNIFORM =>
        {
            let values = unrepeated_values(scan, 1 << 19)?;
            let trace = multiples(&values, width, high * 0.5f64.powi(31));
            Ok(trace.map_or(Origin::Unknown, |agreements| verdict(&agreements)))
        }
        _ => Ok(found),
    }
}

/// Reads and returns the first values of a tensor, at most `count`. If the size of a tensor is not a multiple of
/// [`Torch::GROUP`], torch draws its last `GROUP` normal values twice. These values, and the group that they overlap,
/// are left out.
fn unrepeated_values(scan: &Scan<'_>, count: usize) -> Result<Vec<f64>> {
    let mut values = scan.view.first_values(count)?;
    let whole_groups = scan.count() / Torch::GROUP * Torch::GROUP;
    if whole_groups != scan.count() {
        values.truncate(whole_groups - Torch::GROUP);
    }
    Ok(values)
}

/// Like [`origin`], for values that were already read. Does not recognize uniform values of the native stream. `width`
/// is the number of values in each row of the tensor.
fn of_values(values: &[f64], width: usize, distribution: &Univariate) -> Origin {
    let trace = match *distribution {
        Univariate::Uniform { low, high } if low == -high => multiples(values, width, high * 0.5f64.powi(23)),
        Univariate::Normal { mean, std, .. } if mean == 0.0 && distribution.is_normal() => {
            angles(values, width).or_else(|| {
                let radii = pairs(values, width, 16).map(|(row, x, y)| (row, x * x + y * y));
                let uncertainty = 4.0 * (2.0 / values.len() as f64).sqrt();
                Steps::Radii.agreements(radii, 2.0 * std * std * 0.5f64.powi(24), uncertainty)
            })
        }
        _ => None,
    };
    trace.map_or(Origin::Unknown, |agreements| verdict(&agreements))
}

/// Returns the cosine of 2 pi `x`, with an error below 1e-5. The magnitude of `x` must be below 2^51.
fn cosine_of_turns(x: f64) -> f64 {
    // Adding this number to `x` rounds `x` to an integer.
    const SHIFT: f64 = (3u64 << 51) as f64;
    let fraction = x - ((x + SHIFT) - SHIFT);
    // The Taylor series.
    let square = (TAU * fraction).powi(2);
    (1..=8).rev().fold(1.0, |sum, k| 1.0 - square / f64::from(2 * k * (2 * k - 1)) * sum)
}

/// Returns how close the magnitudes of uniform values are to multiples of a step near `step`. Returns `None` if no such
/// step fits. `step` is an estimate that was computed from the largest value.
fn multiples(values: &[f64], width: usize, step: f64) -> Option<Vec<Agreement>> {
    let magnitudes = values.iter().enumerate().map(|(n, x)| (n / width, x.abs()));
    Steps::Equal.agreements(magnitudes, step, 8.0 / values.len() as f64)
}

/// Returns pairs of values that are `distance` apart, each with the index of the row that contains the pair. The values
/// are divided into groups of `2 * distance` consecutive values. The pairs of each group consist of a value of the
/// first half and a value of the second half. An incomplete last group has no pairs. Leaves out pairs of two zeros, as
/// in the row of a padding token, and pairs whose values are in different rows.
fn pairs(values: &[f64], width: usize, distance: usize) -> impl Iterator<Item = (usize, f64, f64)> {
    values.chunks_exact(2 * distance).enumerate().flat_map(move |(number, group)| {
        let (first, second) = group.split_at(distance);
        let start = number * 2 * distance;
        let (row, column) = (start / width, start % width);
        let is_in_row = column + 2 * distance <= width;
        // Most groups are in one row. A division for each pair would take longer than the rest.
        let row_of = move |k: usize| if is_in_row { row } else { (start + k) / width };
        first.iter().zip(second).enumerate().filter_map(move |(k, (x, y))| {
            let row = row_of(k);
            (row == row_of(k + distance) && (*x != 0.0 || *y != 0.0)).then_some((row, *x, *y))
        })
    })
}

/// Returns how close the angles of pairs of values are to multiples of `2 pi / 2^24`. The angle of a pair `r cos t` and
/// `r sin t` is `t`. All angles that torch draws are such multiples. Returns `None` if the angles are not close to
/// multiples.
fn angles(values: &[f64], width: usize) -> Option<Vec<Agreement>> {
    const STEP: f64 = TAU / 16_777_216.0;
    let of_pair = |(row, x, y): (usize, f64, f64)| {
        let angle = y.atan2(x);
        let angle = if angle < 0.0 { angle + TAU } else { angle };
        let nearest = (angle / STEP).round();
        // torch rounds the angle to f32.
        let rounded = |multiple: f64| f64::from(multiple as f32 * 0.5f32.powi(24) * TAU as f32);
        let distance = |offset: f64| ((angle - rounded(nearest + offset)) / STEP).abs();
        let distance = [-1.0, 0.0, 1.0].map(distance).into_iter().fold(0.5, f64::min);
        Agreement { row, cosine: cosine_of_turns(distance) }
    };
    // The first pairs of values are tested first: if torch did not draw the tensor, these pairs usually show it.
    let few =
        pairs(&values[..values.len().min(1 << 13)], width, Torch::GROUP / 2).map(of_pair).collect::<Vec<_>>();
    significance(&few).filter(|significance| *significance > MIN_SIGNIFICANCE / 2.0)?;
    let agreements: Vec<Agreement> = pairs(values, width, Torch::GROUP / 2).map(of_pair).collect();
    significance(&agreements).filter(|significance| *significance > MIN_SIGNIFICANCE)?;
    Some(agreements)
}

/// Returns the mean of [`Agreement::cosine`] over all `agreements`, divided by the standard error of this mean. If the
/// tensor's values are not related to the tested step, the returned number is nearly standard normal. If the values are
/// multiples of this step, the returned number is large. Returns `None` for fewer than 60 agreements.
fn significance(agreements: &[Agreement]) -> Option<f64> {
    let count = agreements.len() as f64;
    let sum: f64 = agreements.iter().map(|agreement| agreement.cosine).sum();
    // The variance of the cosine of a random angle is 1/2.
    (agreements.len() >= 60).then(|| sum / (count / 2.0).sqrt())
}

/// The formula `step * f(k)` for values. The number `step` is the same for all values, and `k` is an integer. The
/// variant determines the function `f`.
#[derive(Debug, Clone, Copy)]
enum Steps {
    /// `f(k) = k`. The numbers `step * f(k)` are the multiples of `step`.
    Equal,
    /// `f(k) = -ln(1 - k / 2^24) * 2^24`, for integers `k` from 1 to 2^23. The native stream draws pairs of normal
    /// values x and y with a standard deviation `std`. If the squared radius `x^2 + y^2` of a pair is below the median
    /// of all squared radii, the squared radius is one of the numbers `step * f(k)`. Here `step` is `2 std^2 / 2^24`.
    Radii,
}

impl Steps {
    /// Returns `f(integer)`, where `f` is the function in the formula `step * f(k)` (see [`Steps`]).
    fn value(self, integer: f64) -> f64 {
        match self {
            Self::Equal => integer,
            Self::Radii => -(-integer * 0.5f64.powi(24)).ln_1p() * 2f64.powi(24),
        }
    }

    /// Returns the number `k` with `f(k) = value`. Here `f` is the function in the formula `step * f(k)` (see
    /// [`Steps`]). If a tensor's value x follows the formula, the number returned for `x / step` is close to an
    /// integer.
    fn integer(self, value: f64) -> f64 {
        match self {
            Self::Equal => value,
            // `2^24 (1 - exp(-y))` by a Taylor series. `y` is at most about 2^-5.
            Self::Radii => {
                let y = value * 0.5f64.powi(24);
                value * (1.0 - y / 2.0 * (1.0 - y / 3.0 * (1.0 - y / 4.0 * (1.0 - y / 5.0))))
            }
        }
    }

    /// Returns a number m: only values below `m * step` are compared with the formula `step * f(k)` (see [`Steps`]).
    /// f32 rounds larger values too coarsely. For [`Radii`](Self::Radii), m is smaller, because a squared radius has
    /// the rounding errors of two values.
    fn largest(self) -> f64 {
        match self {
            Self::Equal => 2f64.powi(20),
            Self::Radii => 2f64.powi(19),
        }
    }

    /// Finds the number s for which values follow the formula `s * f(k)` (see [`Steps`]). Returns how close each value
    /// is to the nearest number `s * f(k)`. Returns `None` if no number s fits.
    ///
    /// The argument `step` is an estimate of s with a relative error of at most `uncertainty`. Each element of `values`
    /// is a row index and a value. Zeros, and values of `step * self.largest()` or more, are left out.
    fn agreements(
        self,
        values: impl Iterator<Item = (usize, f64)>,
        step: f64,
        uncertainty: f64,
    ) -> Option<Vec<Agreement>> {
        let mut values: Vec<_> = values.filter(|(_, x)| *x > 0.0 && *x < step * self.largest()).collect();
        values.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        let agreement = |&(row, x): &(usize, f64), step: f64| Agreement {
            row,
            cosine: cosine_of_turns(self.integer(x / step)),
        };
        // An unchanged value is the step times `value(k)` for an unknown integer `k`. The smallest value has the fewest
        // possible `k`. Each of them gives a candidate for the step. If the smallest value was changed, no candidate
        // fits, and the next larger value is used.
        let mut tried = 0;
        for &(_, smallest) in values.iter().take(6) {
            let first = self.integer(smallest / step * (1.0 - uncertainty)).floor().max(1.0);
            let last = self.integer(smallest / step * (1.0 + uncertainty)).ceil();
            tried += (last - first) as u64;
            if tried > MAX_STEPS {
                break;
            }
            let candidates =
                (first as u64..=last as u64).map(|integer| smallest / self.value(integer as f64));
            let sum = |step: f64, values: &[(usize, f64)]| -> f64 {
                values.iter().map(|value| agreement(value, step).cosine).sum()
            };
            let compared = &values[..values.len().min(MAX_COMPARED)];
            let few = &compared[..compared.len().min(24)];
            let agrees = |step: f64, values: &[(usize, f64)]| sum(step, values) > 0.25 * values.len() as f64;
            let promising =
                candidates.filter(|&step| agrees(step, &few[..few.len().min(8)]) && agrees(step, few));
            let best = promising.max_by(|a, b| sum(*a, compared).total_cmp(&sum(*b, compared)));
            if let Some(step) = best {
                let found: Vec<Agreement> = values.iter().map(|value| agreement(value, step)).collect();
                let compared = &found[..compared.len()];
                if significance(compared).is_some_and(|significance| significance > MIN_SIGNIFICANCE) {
                    return Some(found);
                }
            }
        }
        None
    }
}

/// Returns the origin of a tensor's values. The argument `agreements` is the list that [`angles`] or
/// [`Steps::agreements`] returned for the tensor. These functions return a list only if some values are still as they
/// were drawn.
fn verdict(agreements: &[Agreement]) -> Origin {
    // Half of the changed values have a negative cosine: they are more than a quarter of a step from every multiple.
    // Because of rounding, about 1 % of the unchanged values have one too.
    let off = agreements.iter().filter(|agreement| agreement.cosine < 0.0).count();
    if off * 40 < agreements.len() {
        return Origin::Unchanged;
    }
    let rows = agreements.iter().map(|agreement| agreement.row).max().unwrap_or(0) + 1;
    let mut sums = vec![(0.0, 0.0); rows];
    for Agreement { row, cosine } in agreements {
        sums[*row].0 += cosine;
        sums[*row].1 += 1.0;
    }
    sums.retain(|(_, count)| *count >= MIN_PAIRS);
    let mean = |&(sum, count): &(f64, f64)| sum / count;
    let is_unchanged = |row: &&(f64, f64)| mean(row) > 0.6;
    let is_changed = |row: &&(f64, f64)| mean(row) < 0.3;
    let (unchanged, changed): (Vec<_>, Vec<_>) =
        sums.iter().filter(|row| is_unchanged(row) || is_changed(row)).partition(is_unchanged);
    let mean_of = |rows: &[&(f64, f64)]| {
        rows.iter().map(|row| row.0).sum::<f64>() / rows.iter().map(|row| row.1).sum::<f64>()
    };
    let alternations =
        sums.windows(2).filter(|pair| is_unchanged(&&pair[0]) != is_unchanged(&&pair[1])).count();
    // The limits for the two means exclude values that were rounded several times: the cosines of all their rows are
    // smaller. The limit for `alternations` excludes a matrix that was assembled from two draws.
    let distinct = unchanged.len() >= 4
        && changed.len() >= 4
        && mean_of(&unchanged) > 0.8
        && mean_of(&changed) < 0.2
        && alternations >= 4;
    match distinct {
        true => Origin::PartlyChanged { unchanged: unchanged.len(), changed: changed.len() },
        false => Origin::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use fanin::init::Init;
    use fanin::{Initializer as _, Native, Stream, TensorMut};

    use super::*;

    /// Returns values that a stream draws from a spec, and the distribution that is fitted to them.
    fn drawn(stream: &mut dyn Stream, spec: &str, shape: &[usize]) -> (Vec<f32>, Univariate) {
        let plan = spec.parse::<Init>().unwrap().resolve(shape, DType::F32).unwrap();
        let mut values = vec![0f32; plan.len()];
        stream.fill(&plan, TensorMut::contiguous(&mut values, shape).unwrap()).unwrap();
        let distribution = fitted(&values, Univariate::of(&plan).unwrap());
        (values, distribution)
    }

    /// Returns `distribution` with parameters that are estimated from `values`.
    fn fitted(values: &[f32], distribution: Univariate) -> Univariate {
        let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        let reach = values.iter().fold(0f32, |most, x| most.max(x.abs()));
        let reach = f64::from(reach) * (1.0 + 1.0 / values.len() as f64);
        match distribution {
            Univariate::Uniform { .. } => Univariate::Uniform { low: -reach, high: reach },
            _ => Univariate::normal(0.0, (squares / values.len() as f64).sqrt()),
        }
    }

    fn origin_of(values: &[f32], width: usize, distribution: &Univariate) -> Origin {
        let values: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
        of_values(&values, width, distribution)
    }

    const SPECS: [&str; 4] =
        ["normal(std=0.02)", "normal(std=1)", "uniform(-0.0442, 0.0442)", "kaiming_uniform(a=sqrt(5))"];

    #[test]
    fn cosines_of_turns_agree_with_cosines() {
        for k in -4000..4000 {
            let x = f64::from(k) / 1001.0;
            assert!((cosine_of_turns(x) - (TAU * x).cos()).abs() < 1e-5, "{x}");
            let far = cosine_of_turns(x + 1e6);
            assert!((far - (TAU * x).cos()).abs() < 1e-5, "{x}");
        }
    }

    #[test]
    fn draws_of_both_streams_are_recognized_and_changed_ones_are_not() {
        for (spec, seed) in SPECS.iter().flat_map(|spec| (0..3).map(move |seed| (spec, seed))) {
            for shape in [[64, 128], [192, 192]] {
                let mut torch = Torch::new(seed);
                let native = Native::new(seed);
                let mut native = native.tensor("a");
                let streams: [&mut dyn Stream; 2] = [&mut torch, &mut native];
                for (n, stream) in streams.into_iter().enumerate() {
                    let (mut values, distribution) = drawn(stream, spec, &shape);
                    let found = origin_of(&values, shape[1], &distribution);
                    let recognized = n == 0 || spec.starts_with("normal");
                    assert_eq!(
                        found == Origin::Unchanged,
                        recognized,
                        "{spec} {shape:?} {seed} stream {n}: {found:?}"
                    );
                    // Multiplying the values by a factor rounds each of them again.
                    values.iter_mut().for_each(|x| *x *= 0.4082);
                    let distribution = fitted(&values, distribution);
                    let scaled = origin_of(&values, shape[1], &distribution);
                    assert_eq!(scaled, found, "{spec} {shape:?} {seed} stream {n}");
                    values.iter_mut().enumerate().for_each(|(k, x)| *x += 1e-5 * ((k * k) as f32).sin());
                    let distribution = fitted(&values, distribution);
                    assert_eq!(
                        origin_of(&values, shape[1], &distribution),
                        Origin::Unknown,
                        "{spec} {shape:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn many_uniform_values_of_the_native_stream_are_recognized() {
        let native = Native::new(5);
        let (values, distribution) = drawn(&mut native.tensor("a"), "kaiming_uniform", &[400, 500]);
        let Univariate::Uniform { high, .. } = distribution else { panic!("{distribution:?}") };
        let values: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
        let trace = multiples(&values, 500, high * 0.5f64.powi(31)).unwrap();
        assert_eq!(verdict(&trace), Origin::Unchanged);
    }

    #[test]
    fn values_drawn_in_f64_have_no_trace() {
        for (spec, seed) in SPECS.iter().flat_map(|spec| (0..3).map(move |seed| (spec, seed))) {
            let shape = [128, 96];
            let plan = spec.parse::<Init>().unwrap().resolve(&shape, DType::F64).unwrap();
            let mut values = vec![0f64; plan.len()];
            Torch::new(seed).fill(&plan, TensorMut::contiguous(&mut values, &shape).unwrap()).unwrap();
            let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            let distribution = fitted(&values, Univariate::of(&plan).unwrap());
            assert_eq!(origin_of(&values, 96, &distribution), Origin::Unknown, "{spec} {seed}");
        }
    }

    #[test]
    fn changed_rows_among_unchanged_ones_are_counted() {
        let (mut values, distribution) = drawn(&mut Torch::new(3), "normal(std=1)", &[256, 16]);
        let changed = |row: usize| row % 5 == 2;
        for (row, values) in values.chunks_mut(16).enumerate().filter(|(row, _)| changed(*row)) {
            values.iter_mut().enumerate().for_each(|(k, x)| *x += 1e-4 * ((row * 16 + k) as f32).cos());
        }
        let found = origin_of(&values, 16, &distribution);
        let Origin::PartlyChanged { unchanged, changed } = found else { panic!("{found:?}") };
        assert!(unchanged >= 200 && (40..=51).contains(&changed), "{found:?}");
        // A matrix whose second half was changed after it was drawn.
        let (mut values, _) = drawn(&mut Torch::new(3), "normal(std=1)", &[256, 16]);
        values[128 * 16..].iter_mut().enumerate().for_each(|(k, x)| *x += 1e-4 * (k as f32).cos());
        assert_eq!(origin_of(&values, 16, &distribution), Origin::Unknown);
    }
}
