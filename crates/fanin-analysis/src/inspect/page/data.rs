//! The data of the page as JSON. The script of the page creates the table and the charts from the data.
//!
//! The format is compact: the JSON of 30,000 tensors takes less than 5 MB. Numbers are rounded to the displayed digits.
//! Equal texts, such as warnings, are stored once. The bars of a histogram are one string.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::depth_data::DepthData;
use crate::describe::{self, short_numbers};
use crate::inspect::inspection::{Histogram, Inspection, TensorInspection};
use crate::inspect::spectrum::{Method, Spectrum};
use fanin_recipe::Planned;
use fanin_recipe::text::{self, escaped, short};

/// The number of significant digits to which most numbers on the page are rounded.
const DIGITS: usize = 6;

/// The height of the highest bar: the largest height that one printable ASCII character can encode (see [`heights`]).
const HIGHEST: f64 = 91.0;

/// The data of a page. A `Vec` has one item for each tensor, unless its description says otherwise. A `BTreeMap` maps
/// the index of a tensor to data that only some tensors have.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data {
    /// For each tensor, the length of the common prefix of its name and the previous tensor's name. The length is in
    /// UTF-16 code units, as in JavaScript.
    kept: Vec<usize>,
    /// For each tensor, its name without the prefix that the previous tensor's name has too. For example, the name
    /// `h.1.weight` after `h.0.weight` is stored as 2 in the field `kept` and `1.weight` in the field `names`.
    names: Vec<String>,
    /// For each tensor, the index of its type and shape in `kinds`.
    kind: Vec<usize>,
    /// The distinct types and shapes.
    kinds: Vec<TensorKind>,
    /// For each tensor, the index of its plan in `plans`, or -1 if the tensor has no plan.
    plan: Vec<i64>,
    /// The distinct plans.
    plans: Vec<PlanData>,
    /// For each tensor, the mean of its finite values. `None` if no value is finite.
    mean: Vec<Option<f64>>,
    /// For each tensor, the standard deviation of its finite values. `None` if no value is finite.
    std: Vec<Option<f64>>,
    /// For each tensor, its smallest finite value. `None` if no value is finite.
    min: Vec<Option<f64>>,
    /// For each tensor, its largest finite value. `None` if no value is finite.
    max: Vec<Option<f64>>,
    /// For each tensor, the number of its zeros. `None` if fanin cannot read values of the tensor's type.
    zeros: Vec<Option<u64>>,
    /// For each tensor with NaN or infinite values (the key is the tensor's number): the counts of both.
    non_finite: BTreeMap<usize, [u64; 2]>,
    /// For each tensor with outliers (the key is the tensor's number): the index of each outlier, such as `[3, 0]`, and
    /// its value.
    outliers: BTreeMap<usize, Vec<(String, f64)>>,
    /// For each tensor, the number of values in the highest bar of its measured and planned histograms, at least 1.
    top: Vec<f64>,
    /// For each tensor, the heights of the bars of its measured histogram, as text: see [`heights`].
    bars: Vec<String>,
    /// For each tensor, the heights of the bars of its planned histogram, as text: see [`heights`]. Empty if there is
    /// no such histogram.
    planned: Vec<String>,
    /// For each tensor, its largest singular value, or `None` if no singular values were computed.
    norm: Vec<Option<f64>>,
    /// For each tensor, its smallest singular value. `None` if no singular values were computed, or if they were
    /// computed from only some of the rows.
    least: Vec<Option<f64>>,
    /// The indices of the tensors that do not have full rank.
    singular: Vec<usize>,
    /// How the singular values were estimated. Tensors whose singular values are exact have no item.
    lanczos: BTreeMap<usize, String>,
    /// The distinct warnings.
    pub(super) warnings: Vec<String>,
    /// For each tensor with warnings, maps the index of the tensor to the indices of its warnings in `warnings`.
    pub(super) warned: BTreeMap<usize, Vec<usize>>,
    /// The number of warnings that the top of the page lists. They are the first items of `warnings`.
    pub(super) listed: usize,
    /// The chart of stds by depth. See [`DepthData::new`] for when this field is `None`.
    depth: Option<DepthData>,
}

/// A type and shape, as text, with the number of values.
#[derive(Debug, Serialize)]
struct TensorKind {
    dtype: String,
    shape: String,
    values: usize,
    size: String,
    /// The shape of the tensor as a matrix, with all axes after the first flattened. `None` for scalars and vectors.
    matrix: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlanData {
    rule: String,
    /// The spec with its numbers in short form.
    scheme: String,
    /// The exact spec, if it differs from `scheme`.
    spec: Option<String>,
    distribution: Option<String>,
    mean: f64,
    std: f64,
    /// The relative standard error of a measured std (see [`TensorInspection::std_error`]).
    error: Option<f64>,
}

impl Data {
    /// Returns the data of an inspection. At most `most_listed` warnings are listed at the top of the page.
    pub(super) fn new(inspection: &Inspection, most_listed: usize) -> Self {
        let mut data = Self { depth: DepthData::new(inspection), ..Self::default() };
        let (mut kinds, mut plans, mut warnings) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut last_name = String::new();
        for (index, tensor) in inspection.tensors.iter().enumerate() {
            let name = escaped(&tensor.entry.name);
            let kept = common_start(&last_name, &name);
            data.kept.push(name[..kept].encode_utf16().count());
            data.names.push(name[kept..].to_owned());
            last_name = name;

            let entry = &tensor.entry;
            let kind = *kinds.entry((entry.dtype, entry.shape.as_slice())).or_insert_with(|| {
                data.kinds.push(TensorKind::new(tensor));
                data.kinds.len() - 1
            });
            data.kind.push(kind);
            let plan = tensor.planned.as_ref().map(|planned| {
                let key = (planned.pattern.as_str(), planned.action.to_string(), kind);
                *plans.entry(key).or_insert_with(|| {
                    data.plans.push(PlanData::new(planned, tensor.std_error));
                    data.plans.len() - 1
                })
            });
            data.plan.push(plan.map_or(-1, |plan| plan as i64));
            for text in &tensor.warnings {
                let warning = *warnings.entry(text.as_str()).or_insert_with(|| {
                    data.warnings.push(escaped(text));
                    data.warnings.len() - 1
                });
                data.warned.entry(index).or_default().push(warning);
            }
            data.add_statistics(index, tensor);
            data.add_spectrum(index, tensor.spectrum.as_ref());
        }
        data.listed = data.warnings.len().min(most_listed);
        data
    }

    fn add_statistics(&mut self, index: usize, tensor: &TensorInspection) {
        let stats = &tensor.stats;
        // If all values are near a number other than 0, more digits are needed to tell the values apart.
        let digits = match stats.min().zip(stats.max()) {
            Some((min, max)) if min < max => {
                let ratio = min.abs().max(max.abs()) / (max / 2.0 - min / 2.0);
                (DIGITS + ratio.log10().max(0.0) as usize).min(17)
            }
            _ => DIGITS,
        };
        self.mean.push(stats.mean().map(|mean| rounded(mean, digits - 1)));
        self.std.push(stats.std().map(|std| rounded(std, DIGITS)));
        self.min.push(stats.min().map(|min| rounded(min, digits)));
        self.max.push(stats.max().map(|max| rounded(max, digits)));
        self.zeros.push(tensor.count(stats.zeros));
        if stats.nans + stats.infinite > 0 {
            self.non_finite.insert(index, [stats.nans, stats.infinite]);
        }
        if !stats.outliers().is_empty() {
            let outlier = |outlier: &crate::stats::IndexedValue| {
                let index: Vec<String> =
                    tensor.index(outlier.index).iter().map(ToString::to_string).collect();
                (format!("[{}]", index.join(", ")), rounded(outlier.value, DIGITS))
            };
            self.outliers.insert(index, stats.outliers().iter().map(outlier).collect());
        }
        let Histogram { counts, planned, .. } = &tensor.histogram;
        let counts: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
        let planned = planned.as_deref().unwrap_or_default();
        let top = counts.iter().chain(planned).copied().fold(1.0, f64::max);
        self.top.push(rounded(top, 4));
        self.bars.push(heights(&counts, top));
        self.planned.push(heights(planned, top));
    }

    fn add_spectrum(&mut self, index: usize, spectrum: Option<&Spectrum>) {
        self.norm.push(spectrum.map(|spectrum| rounded(spectrum.norm, DIGITS)));
        self.least.push(spectrum.and_then(|spectrum| spectrum.least).map(|least| rounded(least, DIGITS)));
        let Some(spectrum) = spectrum else { return };
        if spectrum.condition() == Some(f64::INFINITY) {
            self.singular.push(index);
        }
        if let Method::Lanczos { rows, error } = spectrum.method {
            let rows = if rows < spectrum.rows {
                format!("{} evenly spaced rows", text::count(rows as u64))
            } else {
                "all rows".to_owned()
            };
            let error = short(error * 100.0);
            let text = format!("16 Lanczos steps on {rows}; a singular value within {error} % of the norm");
            self.lanczos.insert(index, text);
        }
    }

    /// Returns whether there is a chart of stds by depth.
    pub(super) fn has_depth(&self) -> bool {
        self.depth.is_some()
    }

    /// Returns the data as JSON for a `script` element. The text contains no `<`, which could end the element.
    pub(super) fn json(&self) -> String {
        let json = serde_json::to_string(self).expect("the data has no map whose keys are not numbers");
        // In JSON, `<` occurs only in strings, and in a string the escape `\u003c` stands for the same character.
        json.replace('<', "\\u003c")
    }
}

impl TensorKind {
    fn new(tensor: &TensorInspection) -> Self {
        let entry = &tensor.entry;
        let matrix = match entry.shape.as_slice() {
            [rows, trailing @ ..] if !trailing.is_empty() => {
                Some(text::shape(&[*rows, trailing.iter().product()]))
            }
            _ => None,
        };
        Self {
            dtype: entry.dtype.to_string(),
            shape: text::shape(&entry.shape),
            values: entry.values(),
            size: text::bytes(entry.bytes()),
            matrix,
        }
    }
}

impl PlanData {
    fn new(planned: &Planned, error: Option<f64>) -> Self {
        let spec = escaped(&planned.action.to_string());
        let scheme = short_numbers(&spec);
        Self {
            rule: escaped(&planned.pattern),
            spec: (spec != scheme).then_some(spec),
            scheme,
            distribution: planned.plan.as_ref().map(|plan| short_numbers(&describe::text(plan))),
            mean: planned.mean(),
            std: planned.std(),
            error: error.map(|error| rounded(error, 4)),
        }
    }
}

/// Returns the length in bytes of the longest common prefix of two names.
fn common_start(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(character, _)| character.len_utf8()).sum()
}

/// Returns a number rounded to this many significant digits.
fn rounded(x: f64, digits: usize) -> f64 {
    format!("{x:.*e}", digits - 1).parse().unwrap_or(x)
}

/// Encodes the height of each bar as one ASCII character: `#` is 0, `$` is 1, `~` is 91. The count `top` has the height
/// 91. A count above 0.5 has a height of at least 1.
fn heights(counts: &[f64], top: f64) -> String {
    let height = |&count: &f64| {
        let height = (count / top * HIGHEST).round().clamp(0.0, HIGHEST) as u8;
        char::from(b'#' + height.max(u8::from(count > 0.5)))
    };
    counts.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_characters() {
        assert_eq!(heights(&[0.0, 1.0, 1e6, 5e5, 0.2], 1e6), "#$~Q#");
        assert_eq!(heights(&[], 1.0), "");
    }

    #[test]
    fn numbers_have_the_digits_that_are_shown() {
        assert_eq!(rounded(0.020_012_345_6, 6), 0.020_012_3);
        assert_eq!(rounded(-1_234_567.0, 6), -1_234_570.0);
        assert_eq!(rounded(f64::MAX, 6), 1.797_69e308);
        assert!(rounded(f64::NAN, 6).is_nan());
    }

    #[test]
    fn names_share_their_start_with_the_name_before() {
        assert_eq!(common_start("h.0.weight", "h.1.weight"), 2);
        assert_eq!(common_start("h\u{e9}\u{e8}", "h\u{e9}\u{e9}"), 3);
    }
}
