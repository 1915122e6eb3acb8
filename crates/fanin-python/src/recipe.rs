//! The Python classes `Recipe` and `Planned`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fanin_checkpoint::ModelDescription;
use fanin_recipe::manifest::MAX_FILE_BYTES;
use fanin_recipe::{Action, Entry, Manifest, Model, StoredType};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arguments::{Argument, SIZES, Settings, argument_error};
use crate::errors;
use crate::initializer::{Initializer, warn};
use crate::notebook;

/// The name, dtype and shape of a tensor. The dtype is spelled as in safetensors, such as "F32".
pub type Row = (String, String, Vec<usize>);

/// A list of rules that assign initializers to tensors by name. Each rule has a pattern for names, and a spec. The
/// first rule whose pattern matches a tensor's name applies to the tensor.
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
/// Pickling stores the text and the name of the recipe. For the recipe of a built-in model, only the model's name is
/// stored. If the recipe extends a file, unpickling reads that file again.
#[pyclass(frozen, module = "fanin")]
#[derive(Debug)]
pub struct Recipe {
    pub recipe: fanin_recipe::recipe::Recipe,
    pub model: Option<&'static Model>,
}

#[pymethods]
impl Recipe {
    /// Parses the text of a recipe. Error messages use `name` as the file name of the recipe.
    #[new]
    #[pyo3(signature = (text, name="recipe"))]
    fn new(text: &str, name: &str) -> PyResult<Self> {
        let recipe =
            fanin_recipe::recipe::Recipe::parse(text, Path::new(name)).map_err(errors::from_recipe)?;
        Ok(Self { recipe, model: None })
    }

    /// Reads a recipe. `name` is the name of a built-in model, or the path of a recipe file.
    #[staticmethod]
    fn read(name: PathBuf) -> PyResult<Self> {
        let (recipe, model) =
            fanin_recipe::Recipe::find(&name.to_string_lossy()).map_err(errors::from_recipe)?;
        Ok(Self { recipe, model })
    }

    /// The text of the recipe, in TOML.
    #[getter]
    fn text(&self) -> &str {
        self.recipe.text()
    }

    fn _repr_html_(&self) -> String {
        notebook::preformatted(self.recipe.text())
    }

    /// The name of the built-in model to which the recipe belongs. None for any other recipe.
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

    /// Returns whether the rule for a tensor of this name is "copy" or "skip". Such a tensor is not filled.
    ///
    /// >>> import fanin
    /// >>> fanin.Recipe('[init]\n"*.mask" = "skip"\n"*" = "zeros"').keeps_values("attn.mask")
    /// True
    fn keeps_values(&self, name: &str) -> bool {
        self.recipe.keeps_values(name)
    }

    /// Returns the draft of a recipe for a model, as text. `name` is the name of a built-in model, or the path of a
    /// safetensors file, a folder, an index or a manifest. `fanin recipe` prints the same text. Check and edit the
    /// draft before you use it.
    ///
    /// The model's configuration is read from the metadata of the manifest, or else from config.json in the model's
    /// folder. If fanin knows the model, the rules initialize the tensors as the model's code does. Otherwise the rules
    /// are guessed from the names and shapes of tensors.
    ///
    /// >>> import fanin
    /// >>> '"*.bias" = "zeros"' in fanin.Recipe.draft("gpt2")
    /// True
    #[staticmethod]
    fn draft(name: PathBuf) -> PyResult<String> {
        let model = ModelDescription::read(&name).map_err(errors::from_checkpoint)?;
        model.draft(&name.to_string_lossy()).map_err(errors::from_checkpoint)
    }

    /// Returns one `Planned` for each tensor: the initializer or other action that the recipe assigns.
    ///
    /// `tensors` is a list of (name, dtype, shape). `settings` are values of the recipe's variables. The rules of
    /// `[dtype]` are ignored, because they apply only to files. If a dtype is not in safetensors, the recipe must copy
    /// or skip the tensor.
    ///
    /// Raises ValueError if no rule matches a tensor, or if a rule applies to no tensor.
    #[pyo3(signature = (tensors, settings=None))]
    fn plan(&self, py: Python<'_>, tensors: Rows, settings: Option<Settings>) -> PyResult<Vec<Planned>> {
        let Rows(mut rows) = tensors;
        let mut unknown_types = HashMap::new();
        for (name, dtype, _) in &mut rows {
            if StoredType::named(dtype).is_none() && self.recipe.keeps_values(name) {
                // `manifest_of` accepts only dtypes of safetensors. C64 replaces any other dtype here. The original
                // dtype is restored below.
                unknown_types.insert(name.clone(), std::mem::replace(dtype, StoredType::C64.to_string()));
            }
        }
        let manifest = manifest_of(rows)?;
        let all = settings.map(|settings| settings.0).unwrap_or_default();
        let planned = self.recipe.plan(&manifest, &all).map_err(errors::from_recipe)?;
        let planned = planned.into_iter().map(|planned| {
            let mut planned = Planned::new(py, planned)?;
            if let Some(dtype) = unknown_types.remove(&planned.name) {
                planned.dtype = dtype;
            }
            Ok(planned)
        });
        planned.collect()
    }
}

/// The argument `tensors`: a list of (name, dtype, shape), one for each tensor.
pub struct Rows(Vec<Row>);

impl FromPyObject<'_, '_> for Rows {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = Vec::<Row>::INPUT_TYPE;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let rows: Vec<(String, String, Argument<'_, Vec<usize>>)> = object.extract().map_err(|error| {
            let expected = "a list of (name, dtype, shape), such as [(\"fc.weight\", \"F32\", [8, 16])]";
            argument_error(&object, "tensors", expected, &error)
        })?;
        let rows = rows.into_iter().map(|(name, dtype, shape)| {
            let shape = shape.read(&format!("tensors: the shape of {name}"), SIZES)?;
            Ok((name, dtype, shape))
        });
        rows.collect::<PyResult<_>>().map(Rows)
    }
}

/// Returns a manifest of tensors. Each of `rows` is (name, dtype, shape).
///
/// # Errors
/// ValueError if a dtype is not in safetensors, or if a tensor is too large for a file. Also ValueError if a tensor
/// ends within a byte, such as a tensor of 3 F4 values.
pub fn manifest_of(rows: Vec<Row>) -> PyResult<Manifest> {
    let mut manifest = Manifest::default();
    for (name, dtype, shape) in rows {
        let error = |message: String| PyValueError::new_err(format!("tensors: {name:?}: {message}"));
        let stored = StoredType::named(&dtype).ok_or_else(|| {
            let known: Vec<String> = StoredType::ALL.iter().map(ToString::to_string).collect();
            error(format!("unknown dtype {dtype:?}: must be one of {}", known.join(", ")))
        })?;
        if fanin::element_count(&shape).is_err() {
            return Err(error(format!("the shape {shape:?} has more elements than memory can address")));
        }
        let entry = Entry { name: name.clone(), dtype: stored, shape, offsets: None };
        if !(entry.values() as u128 * stored.bits() as u128).is_multiple_of(8) {
            return Err(error(format!(
                "{dtype} {:?} needs a number of bytes that is not whole",
                entry.shape
            )));
        }
        if entry.bytes() > MAX_FILE_BYTES {
            return Err(error(format!("the shape {:?} has more bytes than a file can hold", entry.shape)));
        }
        manifest.entries.push(entry);
    }
    Ok(manifest)
}

/// A tensor with the initializer or other action that a recipe assigns to it. `Recipe.plan` returns one `Planned` for
/// each tensor.
#[pyclass(frozen, get_all, module = "fanin")]
#[derive(Debug)]
pub struct Planned {
    /// The name of the tensor.
    name: String,
    /// The dtype of the tensor, spelled as in safetensors.
    dtype: String,
    /// The sizes of the axes.
    shape: Vec<usize>,
    /// The pattern of the rule that applies to the tensor.
    pattern: String,
    /// The initializer. None if the rule is "arange", "copy" or "skip".
    spec: Option<Initializer>,
    /// The spec of the rule, with all variables replaced by their values. Or "arange", "copy" or "skip".
    scheme: String,
    /// The tensor name that the native stream uses. If the tensor is tied to another tensor, this is the name of that
    /// other tensor. Otherwise it is the tensor's own name.
    source: String,
    /// The constant with which an integer tensor is filled. None for all other tensors.
    integer: Option<i128>,
    /// The expected value of an element.
    mean: f64,
    /// The standard deviation of an element.
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
    /// Returns a `Planned` with the given attributes. Unpickling calls this constructor.
    #[new]
    #[allow(clippy::too_many_arguments, reason = "one argument for each attribute")]
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

    fn _repr_html_(&self) -> String {
        notebook::table(&[
            ("name", self.name.clone()),
            ("shape", format!("{:?}", self.shape)),
            ("dtype", self.dtype.clone()),
            ("pattern", self.pattern.clone()),
            ("initializer", self.scheme.clone()),
            ("mean", self.mean.to_string()),
            ("std", self.std.to_string()),
        ])
    }
}
