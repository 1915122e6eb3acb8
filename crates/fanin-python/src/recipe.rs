//! Recipes and checkpoints: the command line's own code.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fanin::CancelToken;
use fanin::init::Init;
use fanin_analysis::explain::{Explanation, Options, json as explain, nonlinearity};
use fanin_checkpoint::{
    Draw, Existing, FileLayout, Partition, PartitionArgument, Partitioning, Request, StreamKind, Target,
    parse_partition, parse_size, read_manifest,
};
use fanin_recipe::recipe::draft;
use fanin_recipe::{Action, Entry, MODELS, Manifest, Model, StoredType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString, PyTuple};
use serde_json::json;

use crate::attend::attended;
use crate::fault;
use crate::given::{Given, SIZES, refused};
use crate::initializer::{Initializer, Kind, read_dtype, warn};
use crate::native::Seed;

/// Name, type and shape of a tensor, the type in safetensors' spelling.
type Row = (String, String, Vec<usize>);

/// Which parameter gets which spec: patterns on names, of which the first that matches wins.
///
/// >>> import fanin
/// >>> recipe = fanin.Recipe('''
/// ... [init]
/// ... "*.bias" = "zeros"
/// ... "*"      = "normal(std=1/sqrt(fan_in))"
/// ... ''')
/// >>> [(planned.name, planned.spec) for planned in recipe.plan([("fc.weight", "F32", [8, 16]), ("fc.bias", "F32", [8])])]
/// [('fc.weight', normal(std=0.25)), ('fc.bias', zeros)]
/// >>> fanin.Recipe.read("gpt2").model
/// 'gpt2'
///
/// It is pickled as its text and its name: one that extends a file must find that file where it is unpickled.
#[pyclass(frozen, module = "fanin")]
#[derive(Debug)]
pub struct Recipe {
    recipe: fanin_recipe::recipe::Recipe,
    model: Option<&'static Model>,
}

#[pymethods]
impl Recipe {
    /// A recipe of this text; `name` is what complaints call it.
    #[new]
    #[pyo3(signature = (text, name="recipe"))]
    fn new(text: &str, name: &str) -> PyResult<Self> {
        let recipe = fanin_recipe::recipe::Recipe::parse(text, Path::new(name)).map_err(fault::recipe)?;
        Ok(Self { recipe, model: None })
    }

    /// The recipe of a built-in model, or of a file.
    #[staticmethod]
    fn read(name: PathBuf) -> PyResult<Self> {
        let (recipe, model) = fanin_recipe::Recipe::find(&name.to_string_lossy()).map_err(fault::recipe)?;
        Ok(Self { recipe, model })
    }

    /// The text in TOML.
    #[getter]
    fn text(&self) -> &str {
        self.recipe.text()
    }

    /// The built-in model that it belongs to.
    #[getter]
    fn model(&self) -> Option<&'static str> {
        self.model.map(|model| model.name)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        Ok(match this.model {
            Some(model) => (slf.get_type().getattr("read")?, (model.name,).into_pyobject(py)?),
            None => {
                let name = this.recipe.path().to_string_lossy().into_owned();
                (slf.get_type().into_any(), (this.recipe.text(), name).into_pyobject(py)?)
            }
        })
    }

    /// Whether a tensor of this name is copied or skipped.
    ///
    /// >>> import fanin
    /// >>> fanin.Recipe('[init]\n"*.mask" = "skip"\n"*" = "zeros"').leaves("attn.mask")
    /// True
    fn leaves(&self, name: &str) -> bool {
        self.recipe.keeps_values(name)
    }

    /// The text of a recipe drafted from the names and shapes of a safetensors file, a manifest or a built-in model, for
    /// a person to read and to mend: `fanin recipe`.
    ///
    /// >>> import fanin
    /// >>> '"*.bias" = "zeros"' in fanin.Recipe.draft("gpt2")
    /// True
    #[staticmethod]
    fn draft(name: PathBuf) -> PyResult<String> {
        let manifest = read_manifest(&name).map_err(fault::checkpoint)?;
        draft::draft(&manifest, &name.to_string_lossy()).map_err(fault::recipe)
    }

    /// What each of these tensors, (name, dtype, shape), will be, with these variables set. The types are taken as they
    /// are: what [dtype] says is for files. A type that safetensors has no name for can be copied or skipped.
    ///
    /// A tensor that no rule matches is an error, and so is a rule that matches nothing.
    #[pyo3(signature = (tensors, settings=None))]
    fn plan(&self, py: Python<'_>, tensors: Rows, settings: Option<Settings>) -> PyResult<Vec<Planned>> {
        let Rows(mut rows) = tensors;
        let mut others = HashMap::new();
        for (name, dtype, _) in &mut rows {
            if StoredType::named(dtype).is_none() && self.recipe.keeps_values(name) {
                // Nobody looks at its values: any type that is not drawn does in its place.
                others.insert(name.clone(), std::mem::replace(dtype, StoredType::C64.to_string()));
            }
        }
        let manifest = manifest_of(rows).map_err(fault::recipe)?;
        let all = settings.map(|settings| settings.0).unwrap_or_default();
        let planned = self.recipe.plan(&manifest, &all).map_err(fault::recipe)?;
        let planned = planned.into_iter().map(|planned| {
            let mut planned = Planned::new(py, planned)?;
            if let Some(dtype) = others.remove(&planned.name) {
                planned.dtype = dtype;
            }
            Ok(planned)
        });
        planned.collect()
    }
}

/// The tensors of a model.
pub struct Rows(Vec<Row>);

impl FromPyObject<'_, '_> for Rows {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = Vec::<Row>::INPUT_TYPE;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let rows: Vec<(String, String, Given<'_, Vec<usize>>)> = object.extract().map_err(|error| {
            let must = "a list of (name, dtype, shape), as [(\"fc.weight\", \"F32\", [8, 16])]";
            refused(&object, "tensors", must, &error)
        })?;
        let rows = rows.into_iter().map(|(name, dtype, shape)| {
            let shape = shape.read(&format!("tensors: the shape of {name}"), SIZES)?;
            Ok((name, dtype, shape))
        });
        rows.collect::<PyResult<_>>().map(Rows)
    }
}

/// Variables of a recipe and their values: any mapping.
pub struct Settings(Vec<(String, f64)>);

impl FromPyObject<'_, '_> for Settings {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        <PyMapping as pyo3::PyTypeInfo>::TYPE_HINT,
        String::INPUT_TYPE,
        f64::INPUT_TYPE
    );

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let items = object.cast::<PyMapping>().ok().map(|mapping| mapping.items()).transpose()?;
        items
            .map_or_else(|| Err(PyTypeError::new_err("no mapping")), |items| items.extract())
            .map(Self)
            .map_err(|error| refused(&object, "settings", "a mapping of names to numbers", &error))
    }
}

/// A manifest of these rows; the reader of manifests checks them.
fn manifest_of(rows: Vec<Row>) -> fanin_recipe::Result<Manifest> {
    let mut manifest = Manifest::default();
    for (name, dtype, shape) in rows {
        let one = json!({ &name: { "dtype": dtype, "shape": shape } }).to_string();
        manifest.entries.extend(Manifest::from_json(&one, Path::new("tensors"))?.entries);
    }
    Ok(manifest)
}

fn rows_of(entries: Vec<Entry>) -> Vec<Row> {
    entries.into_iter().map(|entry| (entry.name, entry.dtype.to_string(), entry.shape)).collect()
}

/// What a tensor will be: made by `Recipe.plan`.
#[pyclass(frozen, get_all, module = "fanin")]
#[derive(Debug)]
pub struct Planned {
    /// The tensor's name.
    name: String,
    /// Its type, in safetensors' spelling.
    dtype: String,
    /// The sizes of its axes.
    shape: Vec<usize>,
    /// The pattern that matched it.
    pattern: String,
    /// The initializer; None where the recipe says arange, copy or skip.
    spec: Option<Initializer>,
    /// What it gets, as the recipe says it with all numbers known.
    scheme: String,
    /// The name whose values it has: its own, or the first name of a tied tensor.
    source: String,
    /// The value of an integer tensor that has one, None for any other.
    integer: Option<i128>,
    /// The mean that its values have.
    mean: f64,
    /// The standard deviation that its values have.
    std: f64,
}

impl Planned {
    fn new(py: Python<'_>, planned: fanin_recipe::recipe::Planned) -> PyResult<Self> {
        if let Some(plan) = &planned.plan {
            warn(py, plan)?;
        }
        let (mean, std) = (planned.mean(), planned.std());
        let (scheme, source) = (planned.action.to_string(), planned.source().to_owned());
        let spec = match planned.action {
            Action::Init(init) => Some(Initializer(init)),
            _ => None,
        };
        let Entry { name, dtype, shape, .. } = planned.entry;
        let (pattern, integer) = (planned.pattern, planned.integer);
        Ok(Self { name, dtype: dtype.to_string(), shape, pattern, spec, scheme, source, integer, mean, std })
    }
}

#[pymethods]
impl Planned {
    /// One by what it says of itself, as it is unpickled.
    #[new]
    #[allow(clippy::too_many_arguments, reason = "all that it says")]
    fn of(
        name: String,
        dtype: String,
        shape: Vec<usize>,
        pattern: String,
        spec: Option<Initializer>,
        scheme: String,
        source: String,
        integer: Option<i128>,
        mean: f64,
        std: f64,
    ) -> Self {
        Self { name, dtype, shape, pattern, spec, scheme, source, integer, mean, std }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let Self { name, dtype, shape, pattern, spec, scheme, source, integer, mean, std } = slf.get();
        let all = (name, dtype, shape, pattern, spec.clone(), scheme, source, integer, mean, std);
        Ok((slf.get_type().into_any(), all.into_pyobject(slf.py())?))
    }

    fn __repr__(&self) -> String {
        format!("Planned({}: {} {:?} = {})", self.name, self.dtype, self.shape, self.scheme)
    }
}

/// The names of the built-in models.
///
/// >>> import fanin
/// >>> "gpt2" in fanin.models()
/// True
#[pyfunction]
pub fn models() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// (name, dtype, shape) of each tensor of a built-in model, a safetensors file (only its header is read) or a manifest
/// in JSON.
///
/// >>> import fanin
/// >>> fanin.manifest("gpt2")[0]
/// ('transformer.wte.weight', 'F32', [50257, 768])
#[pyfunction]
pub fn manifest(name: PathBuf) -> PyResult<Vec<Row>> {
    Ok(rows_of(read_manifest(&name).map_err(fault::checkpoint)?.entries))
}

/// What a spec does to a shape, as JSON: `fanin explain --json`.
#[pyfunction]
#[pyo3(signature = (spec, shape, dtype, layout, groups, nonlinearity, layers))]
pub fn explain_json(
    spec: &str,
    shape: Given<'_, Vec<usize>>,
    dtype: &str,
    layout: Option<&str>,
    groups: Given<'_, usize>,
    nonlinearity: Option<String>,
    layers: Given<'_, Vec<u32>>,
) -> PyResult<String> {
    let shape = shape.read("shape", SIZES)?;
    let groups = groups.read("groups", "a whole number from 1 on")?;
    let layers = layers.read("layers", "whole numbers from 1 to 10000")?;
    let layout = layout.map(|layout| layout.to_ascii_lowercase().parse()).transpose();
    let layout = layout.map_err(|error: fanin::Error| PyValueError::new_err(error.to_string()))?;
    if let Some(wrong) = layers.iter().find(|layers| !(1..=10_000).contains(*layers)) {
        return Err(PyValueError::new_err(format!("layers = {wrong}: must be from 1 to 10000")));
    }
    let mut depths: Vec<usize> = layers.into_iter().map(|layers| layers as usize).collect();
    depths.sort_unstable();
    depths.dedup();
    let nonlinearity =
        nonlinearity.as_deref().map(nonlinearity::read).transpose().map_err(fault::analysis)?;
    let init = Init::parse(spec).map_err(fault::library)?;
    let options = Options {
        init,
        shape: &shape,
        dtype: read_dtype(dtype)?,
        layout,
        groups,
        nonlinearity,
        depths: &depths,
    };
    let explanation = Explanation::new(&options).map_err(fault::analysis)?;
    Ok(explain::to_json(&explanation).to_string())
}

/// A number of bytes, or a text that says one.
fn size(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    let text = match given.cast::<PyString>() {
        Ok(text) => text.to_string(),
        Err(_) => {
            let must = "a number of bytes, or a text as \"5GB\"";
            let bytes: u64 =
                given.extract().map_err(|error| refused(given, "max_shard_size", must, &error))?;
            bytes.to_string()
        }
    };
    parse_size(&text).map_err(|message| PyValueError::new_err(format!("max_shard_size: {message}")))
}

/// One of several processes: (k, n), or a text that `--part` takes.
fn partition(given: &Bound<'_, PyAny>) -> PyResult<PartitionArgument> {
    if let Ok(text) = given.cast::<PyString>() {
        return parse_partition(text.to_str()?)
            .map_err(|message| PyValueError::new_err(format!("part: {message}")));
    }
    match given.extract::<(usize, usize)>() {
        Ok((number, count)) if (1..=count).contains(&number) => {
            Ok(PartitionArgument::Partition(Partition { number, count }))
        }
        _ => {
            let message = format!("part = {given}: must be (k, n) with k from 1 to n, or \"auto\"");
            let is_tuple = given.is_instance_of::<PyTuple>();
            Err(if is_tuple { PyValueError::new_err(message) } else { PyTypeError::new_err(message) })
        }
    }
}

/// A recipe as it is, or by its name.
fn recipe_of(given: &Bound<'_, PyAny>) -> PyResult<Recipe> {
    if let Ok(recipe) = given.cast::<Recipe>() {
        let Recipe { recipe, model } = recipe.get();
        return Ok(Recipe { recipe: recipe.clone(), model: *model });
    }
    let must = "the name of a built-in model, a recipe file, or a Recipe";
    let name: PathBuf = given.extract().map_err(|error| refused(given, "recipe", must, &error))?;
    let name = name.to_string_lossy().into_owned();
    let (recipe, model) = fanin_recipe::Recipe::find(&name).map_err(fault::recipe)?;
    Ok(Recipe { recipe, model })
}

/// Writes an initial checkpoint, as `fanin init` does: the same bytes.
///
/// `recipe` is a built-in model, a recipe file or a `Recipe`, `output` a file or a folder, `like` what has names and
/// shapes if the recipe belongs to no model. The target takes its name only when it is whole.
///
/// With `max_shard_size`, a number of bytes or a text like "5GB", the output is a folder in the layout of Hugging Face.
/// `part=(k, n)` writes the part of the k-th of n processes, which make what one makes without talking to each other: of
/// one file a stretch, of several every n-th; `part="auto"` asks the launcher. `layout="dcp"` is that of torch's distributed
/// checkpoints. `fanin init --help` says more.
/// `resume=True` keeps files that are there if they are, to the last byte, what would be written.
///
/// >>> import fanin, os, tempfile
/// >>> with tempfile.TemporaryDirectory() as folder:
/// ...     fanin.write_checkpoint("resnet50", os.path.join(folder, "w.safetensors"), seed=7)
/// ...     len(fanin.manifest(os.path.join(folder, "w.safetensors")))
/// 320
#[pyfunction]
#[pyo3(signature = (
    recipe: "str | PathLike[str] | Recipe",
    output,
    *,
    like=None,
    settings=None,
    seed=Seed(0),
    stream="native",
    dtype=None,
    force=false,
    max_shard_size: "SupportsIndex | str | None"=None,
    part: "tuple[SupportsIndex, SupportsIndex] | str | None"=None,
    layout="hf",
    resume=false,
))]
#[allow(clippy::too_many_arguments, reason = "the options of fanin init")]
pub fn write_checkpoint(
    py: Python<'_>,
    recipe: &Bound<'_, PyAny>,
    output: PathBuf,
    like: Option<PathBuf>,
    settings: Option<Settings>,
    seed: Seed,
    stream: &str,
    dtype: Option<Kind>,
    force: bool,
    max_shard_size: Option<Bound<'_, PyAny>>,
    part: Option<Bound<'_, PyAny>>,
    layout: &str,
    resume: bool,
) -> PyResult<()> {
    let stream = StreamKind::from_name(stream).ok_or_else(|| {
        PyValueError::new_err(format!("stream = {stream:?}: must be \"native\" or \"torch\""))
    })?;
    let layout = FileLayout::from_name(layout)
        .ok_or_else(|| PyValueError::new_err(format!("layout = {layout:?}: must be \"hf\" or \"dcp\"")))?;
    let Recipe { recipe, model } = recipe_of(recipe)?;
    let variable = |name: &str| std::env::var(name).ok();
    let partition = part.as_ref().map(partition).transpose()?;
    let partition = partition.map(|part| part.resolve(variable)).transpose().map_err(fault::checkpoint)?;
    let max_shard_size = max_shard_size.as_ref().map(size).transpose()?;
    let partitioning = Partitioning { max_shard_size, partition, layout };
    let target = Target::new(&output, partitioning.form(), Existing { force, resume });
    let target = target.map_err(fault::checkpoint)?;
    let settings = settings.map(|settings| settings.0).unwrap_or_default();
    let request = Request {
        recipe: &recipe,
        model,
        like: like.as_deref(),
        settings: &settings,
        dtype: dtype.map(|dtype| dtype.0),
        draw: Draw { stream, seed: seed.0, threads: None },
        partitioning,
    };
    let write = |cancel: &CancelToken| request.plan()?.write(&target, &(), cancel);
    attended(py, write)?.map_err(fault::checkpoint)?;
    Ok(())
}
