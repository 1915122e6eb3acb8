//! Serializes an inspection to JSON. `docs/inspect.schema.json` describes every member.

use fanin_recipe::{Planned, StoredType};
use serde::Serialize;
use serde::ser::Serializer;

use super::depth::NamedPosition;
use super::inspection::{Inspection, MISSING, TensorInspection, Total};
use super::spectrum::{Method, Spectrum};
use crate::describe;

/// The name of the JSON format. The name changes if a member is removed or changes its meaning. It does not change if a
/// member is added.
const FORMAT: &str = "fanin-inspect-1";

#[derive(Serialize)]
struct Report<'a> {
    format: &'static str,
    file: &'a str,
    recipe: Option<&'a str>,
    metadata: Metadata<'a>,
    totals: Totals,
    warnings: Vec<Warning<'a>>,
    tensors: Tensors<'a>,
}

#[derive(Serialize)]
struct Totals {
    tensors: u64,
    values: u64,
    bytes: u64,
    dtypes: Vec<TypeTotal>,
}

#[derive(Serialize)]
struct TypeTotal {
    dtype: StoredType,
    tensors: u64,
    values: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Warning<'a> {
    tensor: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    dtype: StoredType,
    shape: &'a [usize],
    values: usize,
    bytes: u64,
    depth: Option<Depth>,
    planned: Option<PlannedReport<'a>>,
    measured: Measured<'a>,
    spectrum: Option<SpectrumReport>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Depth {
    position: Vec<u64>,
    role: String,
}

#[derive(Serialize)]
struct PlannedReport<'a> {
    scheme: String,
    rule: &'a str,
    distribution: Option<String>,
    mean: f64,
    std: f64,
    std_error: Option<f64>,
    low: f64,
    high: f64,
}

#[derive(Serialize)]
struct Measured<'a> {
    mean: Option<f64>,
    std: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    zeros: Option<u64>,
    nans: Option<u64>,
    infinite: Option<u64>,
    outliers: Vec<Outlier>,
    histogram: HistogramReport<'a>,
}

#[derive(Serialize)]
struct Outlier {
    index: Vec<u64>,
    value: f64,
}

#[derive(Serialize)]
struct HistogramReport<'a> {
    edges: &'a [f64],
    counts: &'a [u64],
    planned: Option<&'a [f64]>,
}

#[derive(Serialize)]
struct SpectrumReport {
    rows: usize,
    columns: usize,
    method: &'static str,
    rows_used: usize,
    norm: f64,
    error: f64,
    least: Option<f64>,
    condition: Option<f64>,
}

/// The reports of the tensors. Each report is created when it is serialized, because 20,000 reports at once would take
/// 300 MB of memory.
struct Tensors<'a>(&'a [TensorInspection]);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(TensorInspection::report))
    }
}

/// The metadata of a checkpoint as pairs of a key and a value. It serializes as a JSON object in the order of the
/// pairs. The keys must be unique.
struct Metadata<'a>(&'a [(String, String)]);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Serializes an inspection to the JSON that `docs/inspect.schema.json` describes. NaN and infinite numbers are written
/// as null.
impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Total { tensors, values, bytes } = self.total();
        let dtypes = self.by_type().into_iter();
        let dtypes = dtypes.map(|(dtype, Total { tensors, values, bytes })| TypeTotal {
            dtype,
            tensors,
            values,
            bytes,
        });
        let warnings = self.tensors.iter().flat_map(|tensor| {
            tensor.warnings.iter().map(|text| Warning { tensor: &tensor.entry.name, text })
        });
        let missing = self.missing.iter().map(|entry| Warning { tensor: &entry.name, text: MISSING });
        let report = Report {
            format: FORMAT,
            file: &self.file,
            recipe: self.recipe.as_deref(),
            metadata: Metadata(&self.manifest.metadata),
            totals: Totals { tensors, values, bytes, dtypes: dtypes.collect() },
            warnings: warnings.chain(missing).collect(),
            tensors: Tensors(&self.tensors),
        };
        report.serialize(serializer)
    }
}

impl TensorInspection {
    fn report(&self) -> TensorReport<'_> {
        let Self { entry, planned, std_error, stats, histogram, spectrum, warnings } = self;
        let depth = NamedPosition::parse(&entry.name);
        TensorReport {
            name: &entry.name,
            dtype: entry.dtype,
            shape: &entry.shape,
            values: entry.values(),
            bytes: entry.bytes(),
            depth: depth.map(|NamedPosition { position, role }| Depth { position, role }),
            planned: planned.as_ref().map(|planned| PlannedReport::new(planned, *std_error)),
            measured: Measured {
                mean: stats.mean(),
                std: stats.std(),
                min: stats.min(),
                max: stats.max(),
                zeros: self.count(stats.zeros),
                nans: self.count(stats.nans),
                infinite: self.count(stats.infinite),
                outliers: stats
                    .outliers()
                    .iter()
                    .map(|outlier| Outlier { index: self.index(outlier.index), value: outlier.value })
                    .collect(),
                histogram: HistogramReport {
                    edges: &histogram.edges,
                    counts: &histogram.counts,
                    planned: histogram.planned.as_deref(),
                },
            },
            spectrum: spectrum.as_ref().map(SpectrumReport::new),
            warnings,
        }
    }
}

impl<'a> PlannedReport<'a> {
    fn new(planned: &'a Planned, std_error: Option<f64>) -> Self {
        let plan = planned.plan.as_ref();
        let (low, high) = plan.map_or((planned.mean(), planned.mean()), fanin::Plan::bounds);
        Self {
            scheme: planned.action.to_string(),
            rule: &planned.pattern,
            distribution: plan.map(describe::text),
            mean: planned.mean(),
            std: planned.std(),
            std_error: std_error.map(|error| error * planned.std()),
            low,
            high,
        }
    }
}

impl SpectrumReport {
    fn new(spectrum: &Spectrum) -> Self {
        let (method, rows_used, error) = match spectrum.method {
            Method::Exact => ("exact", spectrum.rows, 0.0),
            Method::Lanczos { rows, error } => ("lanczos", rows, error),
        };
        Self {
            rows: spectrum.rows,
            columns: spectrum.columns,
            method,
            rows_used,
            norm: spectrum.norm,
            error,
            least: spectrum.least,
            condition: spectrum.condition(),
        }
    }
}
