//! Python functions that verify, audit, inspect and compare checkpoints and tensors in memory. The functions return the
//! reports that the command line prints with `--json`.

use std::path::PathBuf;

use fanin::CancelToken;
use fanin_analysis::audit::Audit;
use fanin_analysis::check::ModelComparison;
use fanin_analysis::diff::Diff;
use fanin_analysis::inspect::{self, Inspection};
use fanin_analysis::verify::{Request, Verification};
use fanin_checkpoint::{ModelSource, StreamKind};
use fanin_recipe::Model;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{Seed, Settings};
use crate::checkpoint::read_recipe;
use crate::errors;
use crate::explain::to_python;
use crate::interrupt::interruptible;
use crate::recipe::Recipe;
use crate::tensor_source::TensorSource;

/// Runs `work` with the GIL released, and returns its report as Python objects. Ctrl-C interrupts `work`.
fn report<'py>(
    py: Python<'py>,
    work: impl FnOnce(&CancelToken) -> PyResult<Value> + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let report = interruptible(py, work)??;
    to_python(py, &report)
}

fn json(report: &impl Serialize) -> PyResult<Value> {
    serde_json::to_value(report).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Tests tensors against a recipe, and returns the report. `name` is the name of the source in the report.
#[pyfunction]
#[pyo3(signature = (source: "Any", name, recipe: "str | PathLike[str] | Recipe", like, settings, seed, stream, alpha, tied, copy_from, partial) -> "dict[str, Any]")]
#[allow(clippy::too_many_arguments, reason = "the options of fanin verify")]
pub fn verify_tensors<'py>(
    py: Python<'py>,
    source: TensorSource,
    name: &str,
    recipe: &Bound<'py, PyAny>,
    like: Option<PathBuf>,
    settings: Option<Settings>,
    seed: Option<Seed>,
    stream: &str,
    alpha: f64,
    tied: bool,
    copy_from: Option<PathBuf>,
    partial: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let stream = StreamKind::from_name(stream).ok_or_else(|| {
        PyValueError::new_err(format!("stream = {stream:?}: must be \"native\" or \"torch\""))
    })?;
    if !(1e-12..0.5).contains(&alpha) {
        return Err(PyValueError::new_err(format!("alpha = {alpha}: must be a number from 1e-12 to 0.5")));
    }
    let Recipe { recipe, model } = read_recipe(recipe)?;
    let open = |path: Option<PathBuf>| path.as_deref().map(ModelSource::open).transpose();
    let like = open(like).map_err(errors::from_checkpoint)?;
    let copied = open(copy_from).map_err(errors::from_checkpoint)?;
    let settings = settings.map(|settings| settings.0).unwrap_or_default();
    let request = Request {
        recipe: &recipe,
        settings: &settings,
        model_given: like.is_some(),
        model: like.as_ref().map(|like| like.manifest().clone()).or_else(|| model.map(Model::manifest)),
        copied: copied.as_ref().or(like.as_ref()).and_then(ModelSource::checkpoint),
        partial,
        seed: seed.map(|seed| seed.0),
        stream,
        alpha,
        tied,
    };
    report(py, |cancel| {
        let checkpoint = source.open(cancel)?;
        let verification = Verification::new(&checkpoint, request, &()).map_err(errors::from_analysis)?;
        json(&verification.report(name))
    })
}

/// Classifies tensors by their values, without a recipe, and returns the report. `name` is the name of the source in
/// the report.
#[pyfunction]
#[pyo3(signature = (source: "Any", name) -> "dict[str, Any]")]
pub fn audit_tensors<'py>(py: Python<'py>, source: TensorSource, name: &str) -> PyResult<Bound<'py, PyAny>> {
    report(py, |cancel| {
        let checkpoint = source.open(cancel)?;
        json(&Audit::new(&checkpoint, &()).map_err(errors::from_analysis)?.report(name))
    })
}

/// Measures tensors. Returns a list of two elements: the report, and an HTML page with charts.
#[pyfunction]
#[pyo3(signature = (source: "Any", name, recipe: "str | PathLike[str] | Recipe | None", settings, spectra) -> "list[Any]")]
pub fn inspect_tensors<'py>(
    py: Python<'py>,
    source: TensorSource,
    name: &str,
    recipe: Option<Bound<'py, PyAny>>,
    settings: Option<Settings>,
    spectra: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let recipe = recipe.as_ref().map(read_recipe).transpose()?;
    let settings = settings.map(|settings| settings.0).unwrap_or_default();
    report(py, |cancel| {
        let checkpoint = source.open(cancel)?;
        let manifest = &checkpoint.manifest;
        let comparison = match &recipe {
            Some(Recipe { recipe, model }) => {
                ModelComparison::new(recipe, &settings, manifest, model.map(Model::manifest))
                    .map_err(errors::from_analysis)?
            }
            None => ModelComparison::default(),
        };
        let recipe_name = recipe.as_ref().map(|recipe| recipe.recipe.path().to_string_lossy().into_owned());
        let request = inspect::Request { file: name, recipe: recipe_name.as_deref(), comparison, spectra };
        let inspection = Inspection::new(&checkpoint, request, &()).map_err(errors::from_analysis)?;
        Ok(Value::Array(vec![json(&inspection)?, Value::String(inspection.to_html())]))
    })
}

/// Compares two sets of tensors by name, and returns the report.
#[pyfunction]
#[pyo3(signature = (a: "Any", b: "Any") -> "dict[str, Any]")]
pub fn diff_tensors<'py>(py: Python<'py>, a: TensorSource, b: TensorSource) -> PyResult<Bound<'py, PyAny>> {
    report(py, |cancel| {
        let (a, b) = (a.open(cancel)?, b.open(cancel)?);
        json(&Diff::new(&a, &b, &()).map_err(errors::from_analysis)?.report())
    })
}
