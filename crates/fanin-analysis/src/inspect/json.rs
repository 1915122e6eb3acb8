//! The inspection as JSON: `docs/inspect.schema.json` says what each member is.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value, json};

use super::depth;
use super::spectrum::{Method, Spectrum};
use super::{Inspection, MISSING, Row, Total};
use crate::describe;
use fanin_recipe::recipe::Planned;

/// The name of this form. It changes when a member changes its meaning or goes; new members may come.
pub const FORMAT: &str = "fanin-inspect-1";

/// All of it. What is not a number there is null.
impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata: Map<_, _> =
            self.manifest.metadata.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let dtypes: Vec<Value> = self
            .by_type()
            .into_iter()
            .map(|(dtype, Total { tensors, values, bytes })| {
                json!({ "dtype": dtype, "tensors": tensors, "values": values, "bytes": bytes })
            })
            .collect();
        let Total { tensors, values, bytes } = self.total();
        let warnings: Vec<Value> = self
            .rows
            .iter()
            .flat_map(|row| row.findings.iter().map(|text| json!({ "tensor": row.entry.name, "text": text })))
            .chain(self.missing.iter().map(|entry| json!({ "tensor": entry.name, "text": MISSING })))
            .collect();
        let totals = json!({ "tensors": tensors, "values": values, "bytes": bytes, "dtypes": dtypes });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", FORMAT)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("recipe", &self.recipe)?;
        map.serialize_entry("metadata", &metadata)?;
        map.serialize_entry("totals", &totals)?;
        map.serialize_entry("warnings", &warnings)?;
        map.serialize_entry("tensors", &Rows(&self.rows))?;
        map.end()
    }
}

/// One after another: the JSON of 20,000 at once would take 300 MB.
struct Rows<'a>(&'a [Row]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Row::json))
    }
}

impl Row {
    fn json(&self) -> Value {
        let (entry, stats, bars) = (&self.entry, &self.stats, &self.bars);
        let depth = depth::of(&entry.name).map(|(place, role)| json!({ "place": place, "role": role }));
        json!({
            "name": entry.name, "dtype": entry.dtype, "shape": entry.shape,
            "values": entry.values(), "bytes": entry.bytes(), "depth": depth,
            "planned": self.planned.as_ref().map(planned),
            "measured": {
                "mean": stats.mean(), "std": stats.std(), "min": stats.min(), "max": stats.max(),
                "zeros": stats.zeros, "nans": stats.nans, "infinite": stats.infinite,
                "histogram": { "edges": bars.edges, "counts": bars.counts, "planned": bars.planned },
            },
            "spectrum": self.spectrum.as_ref().map(spectrum),
            "warnings": self.findings,
        })
    }
}

fn planned(planned: &Planned) -> Value {
    let plan = planned.plan.as_ref();
    let (low, high) = plan.map_or((planned.mean(), planned.mean()), fanin::Plan::bounds);
    json!({
        "scheme": planned.action.to_string(), "rule": planned.pattern, "distribution": plan.map(describe::text),
        "mean": planned.mean(), "std": planned.std(), "low": low, "high": high,
    })
}

fn spectrum(found: &Spectrum) -> Value {
    let (method, rows_used, error) = match found.method {
        Method::Exact => ("exact", found.rows, 0.0),
        Method::Lanczos { rows, error } => ("lanczos", rows, error),
    };
    json!({
        "rows": found.rows, "columns": found.columns, "method": method, "rows_used": rows_used,
        "norm": found.norm, "error": error, "least": found.least, "condition": found.condition(),
    })
}
