//! Python functions that read manifests and write checkpoints.

use std::path::PathBuf;

use fanin::CancelToken;
use fanin_checkpoint::{
    CheckpointPlan, Draw, Existing, FileLayout, Partition, PartitionArgument, Partitioning, Request,
    StreamKind, Target, parse_partition, parse_size, read_manifest,
};
use fanin_recipe::{MODELS, Replay};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::arguments::{DTypeName, Seed, Settings, argument_error};
use crate::errors;
use crate::interrupt::interruptible;
use crate::recipe::{Recipe, Row};

/// Returns the names of the built-in models.
///
/// >>> import fanin
/// >>> "gpt2" in fanin.models()
/// True
#[pyfunction]
pub fn models() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// Returns a tuple (name, dtype, shape) for each tensor in a manifest. The argument `name` selects the manifest: it is
/// the name of a built-in model, or the path of a safetensors file or of a JSON manifest. Only the header of a
/// safetensors file is read.
///
/// >>> import fanin
/// >>> fanin.manifest("gpt2")[0]
/// ('transformer.wte.weight', 'F32', [50257, 768])
#[pyfunction]
pub fn manifest(name: PathBuf) -> PyResult<Vec<Row>> {
    let entries = read_manifest(&name).map_err(errors::from_checkpoint)?.entries;
    Ok(entries.into_iter().map(|entry| (entry.name, entry.dtype.to_string(), entry.shape)).collect())
}

/// Converts the argument `max_shard_size`, a number of bytes or a text such as "5GB", to a number of bytes.
fn read_size(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    let text = match given.cast::<PyString>() {
        Ok(text) => text.to_string(),
        Err(_) => {
            let expected = "a number of bytes, or a text such as \"5GB\"";
            let bytes: u64 =
                given.extract().map_err(|error| argument_error(given, "max_shard_size", expected, &error))?;
            bytes.to_string()
        }
    };
    parse_size(&text).map_err(|message| PyValueError::new_err(format!("max_shard_size: {message}")))
}

/// Converts the argument `part`, which is a tuple (k, n) or a text that `--part` of the command line accepts.
fn read_partition(given: &Bound<'_, PyAny>) -> PyResult<PartitionArgument> {
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

/// Returns the recipe for the argument `recipe`: a `Recipe`, the name of a built-in model, or a recipe file.
pub fn read_recipe(given: &Bound<'_, PyAny>) -> PyResult<Recipe> {
    if let Ok(recipe) = given.cast::<Recipe>() {
        let Recipe { recipe, model } = recipe.get();
        return Ok(Recipe { recipe: recipe.clone(), model: *model });
    }
    let expected = "the name of a built-in model, a recipe file, or a Recipe";
    let name: PathBuf = given.extract().map_err(|error| argument_error(given, "recipe", expected, &error))?;
    let name = name.to_string_lossy().into_owned();
    let (recipe, model) = fanin_recipe::Recipe::find(&name).map_err(errors::from_recipe)?;
    Ok(Recipe { recipe, model })
}

/// Returns the replay in the file `given`, or None if `given` is not a replay file.
fn read_replay(given: &Bound<'_, PyAny>) -> PyResult<Option<Replay>> {
    let Ok(name) = given.extract::<PathBuf>() else { return Ok(None) };
    Replay::find(&name.to_string_lossy()).map_err(errors::from_recipe)
}

/// Returns an error if an argument cannot be used with a replay. `has_others` says whether the caller gave `like`,
/// `copy_from`, `settings` or `dtype`.
fn check_replay_arguments(replay: &Replay, draw: Draw, has_others: bool) -> PyResult<()> {
    if has_others {
        let message = "like, copy_from, settings and dtype cannot be used with a replay, which contains the names, \
                       shapes and dtypes: leave these arguments out";
        return Err(PyValueError::new_err(message));
    }
    if draw.seed != 0 && draw.seed != replay.seed {
        let (seed, own) = (draw.seed as i64, replay.seed as i64);
        return Err(PyValueError::new_err(format!(
            "seed = {seed} contradicts the replay, which has seed {own}: leave seed out"
        )));
    }
    Ok(())
}

/// Writes a checkpoint with initial values. `fanin init` writes the same files, byte for byte.
///
/// A file gets its final name only when the file is complete. See also `fanin init --help`.
///
/// Parameters
/// ----------
/// recipe
///     The name of a built-in model, a recipe file, a replay file, or a `Recipe`.
/// output
///     A file or a folder.
/// like
///     A checkpoint, a manifest, or the name of a built-in model. It gives the names, shapes and dtypes of the tensors.
///     Required if the recipe does not belong to a built-in model.
/// copy_from
///     The checkpoint whose values the recipe's "copy" rules write. The default is `like`.
/// settings
///     The values of the recipe's variables, by name.
/// seed
///     A whole number from -2^63 to 2^64 - 1.
/// stream
///     "native": values that depend only on seed, tensor name and index. "torch": the values of torch's CPU generator.
/// dtype
///     The dtype of the tensors that no [dtype] rule of the recipe matches. The default is the dtype in `like` or in
///     the built-in model. Integer tensors keep their dtypes.
/// force
///     If True, an existing output is replaced.
/// max_shard_size
///     The largest size of a file: a number of bytes, or a text such as "5GB". The output is then a folder of several
///     files.
/// part
///     The part of the checkpoint that this process writes, if n processes write the checkpoint together. `(k, n)` is
///     part k, where k is from 1 to n. "auto" reads k and n from the environment variables that the launcher sets. If
///     the output is a single file, each part is a range of its bytes. If the output is a folder, each part is every
///     n-th file. The processes do not communicate.
/// layout
///     "hf" for the file layout of Hugging Face, "dcp" for the file layout of torch.distributed.checkpoint.
/// resume
///     If True, an existing file is kept if its content is already correct, byte for byte.
///
/// Examples
/// --------
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
    copy_from=None,
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
    copy_from: Option<PathBuf>,
    settings: Option<Settings>,
    seed: Seed,
    stream: &str,
    dtype: Option<DTypeName>,
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
    let replay = read_replay(recipe)?;
    let variable = |name: &str| std::env::var(name).ok();
    let partition = match part.as_ref() {
        Some(part) => Some(read_partition(part)?.resolve(variable).map_err(errors::from_checkpoint)?),
        None => None,
    };
    let max_shard_size = max_shard_size.as_ref().map(read_size).transpose()?;
    let partitioning = Partitioning { max_shard_size, partition, layout };
    let target = Target::new(&output, partitioning.form(), Existing { force, resume });
    let target = target.map_err(errors::from_checkpoint)?;
    let settings = settings.map(|settings| settings.0).unwrap_or_default();
    let dtype = dtype.map(|dtype| dtype.0);
    let draw = Draw { stream, seed: seed.0, threads: None };
    let recipe = match &replay {
        Some(replay) => {
            let has_files = like.is_some() || copy_from.is_some();
            check_replay_arguments(replay, draw, has_files || !settings.is_empty() || dtype.is_some())?;
            None
        }
        None => Some(read_recipe(recipe)?),
    };
    let write = |cancel: &CancelToken| -> PyResult<()> {
        let plan = match (recipe, replay) {
            (Some(Recipe { recipe, model }), _) => {
                let (like, copy_from) = (like.as_deref(), copy_from.as_deref());
                let settings = settings.as_slice();
                Request { recipe: &recipe, model, like, copy_from, settings, dtype, draw, partitioning }
                    .plan()
            }
            (None, Some(replay)) => CheckpointPlan::of_replay(replay, draw, partitioning),
            (None, None) => unreachable!("there is a recipe or a replay"),
        };
        let plan = plan.map_err(errors::from_checkpoint)?;
        plan.write(&target, &(), cancel).map_err(errors::from_checkpoint)?;
        Ok(())
    };
    interruptible(py, write)?
}
