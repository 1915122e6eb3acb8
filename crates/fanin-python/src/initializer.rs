//! The Python classes `Initializer` and `Plan`.

use std::collections::hash_map::DefaultHasher;
use std::ffi::CString;
use std::hash::{Hash as _, Hasher as _};

use fanin::init::Init;
use fanin::{Initializer as _, Plan as RustPlan};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::arguments::{Argument, SIZES, read_dtype};
use crate::errors;
use crate::notebook;

/// An initialization scheme with its arguments, such as `normal(std=0.02)`.
///
/// To create an initializer, call `Initializer` with a spec, or the function of `fanin` that has the scheme's name.
///
/// >>> import fanin
/// >>> fanin.Initializer("kaiming_normal(mode=fan_out, nonlinearity=relu)")
/// kaiming_normal(mode=fan_out, nonlinearity=relu)
/// >>> fanin.Initializer("normal(0, 0.02)") == fanin.normal(std=0.02)
/// True
#[pyclass(frozen, module = "fanin", from_py_object)]
#[derive(Debug, Clone)]
pub struct Initializer(pub Init);

#[pymethods]
impl Initializer {
    #[new]
    fn new(spec: &str) -> PyResult<Self> {
        spec.parse().map(Initializer).map_err(errors::from_library)
    }

    /// Returns the plan for a tensor of this shape and dtype: the distribution, with all its parameters computed. Draws
    /// no values.
    ///
    /// >>> import fanin
    /// >>> fanin.xavier_uniform().resolve((256, 128)).std
    /// 0.07216878364870322
    #[pyo3(signature = (shape, dtype="f32"))]
    fn resolve(&self, py: Python<'_>, shape: Argument<'_, Vec<usize>>, dtype: &str) -> PyResult<Plan> {
        let shape = shape.read("shape", SIZES)?;
        let plan = self.0.resolve(&shape, read_dtype(dtype)?).map_err(errors::from_library)?;
        warn(py, &plan)?;
        Ok(Plan { plan, init: self.clone() })
    }

    /// The part of the spec that requires torch's axis layout, [out, in, kernel...]: the name of a scheme or of a fan.
    /// None if there is no such part.
    ///
    /// An example is "sparse", which has no argument for another axis layout. Another example is the fan "fan_in" in
    /// arithmetic: `normal(std=1/fan_in)` requires torch's axis layout, `normal(std=1/fan_in(in_out))` does not.
    #[getter]
    fn torch_axes(&self) -> Option<&'static str> {
        self.0.torch_axes()
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Initializer>().is_ok_and(|other| other.get().0 == self.0)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.to_string().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((slf.get_type().into_any(), (slf.get().0.to_string(),)))
    }
}

/// Converts the argument `spec`, which is a str or an `Initializer`, to an `Initializer`.
pub fn read_spec(spec: &Bound<'_, PyAny>) -> PyResult<Initializer> {
    match spec.cast::<PyString>() {
        Ok(text) => Initializer::new(text.to_str()?),
        Err(_) => match spec.cast::<Initializer>() {
            Ok(init) => Ok(init.get().clone()),
            Err(_) => Err(PyTypeError::new_err(format!(
                "spec = {spec}: must be a text such as \"normal(std=0.02)\", or an Initializer"
            ))),
        },
    }
}

/// The distribution of the values of a tensor with a given shape and dtype. The parameters of the distribution, such as
/// its std, are numbers. `Initializer.resolve` returns a plan.
#[pyclass(frozen, module = "fanin")]
#[derive(Debug, Clone)]
pub struct Plan {
    plan: RustPlan,
    /// The initializer whose method `resolve` returned this plan. Unpickling calls `resolve` again.
    init: Initializer,
}

#[pymethods]
impl Plan {
    /// The sizes of the axes.
    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.plan.shape().to_vec()
    }

    /// The dtype of the values: f32, f64, f16, bf16, f8_e4m3 or f8_e5m2.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.plan.dtype().name()
    }

    /// The expected value of an element.
    #[getter]
    fn mean(&self) -> f64 {
        self.plan.mean()
    }

    /// The standard deviation of an element.
    #[getter]
    fn std(&self) -> f64 {
        self.plan.std()
    }

    /// The smallest and the largest value that a fill can write.
    #[getter]
    fn bounds(&self) -> (f64, f64) {
        self.plan.bounds()
    }

    /// `(fan_in, fan_out)` if the scheme uses fans, and None otherwise.
    #[getter]
    fn fans(&self) -> Option<(usize, usize)> {
        self.plan.fans().map(|fans| (fans.fan_in, fans.fan_out))
    }

    fn __repr__(&self) -> String {
        format!("Plan({:?}, {}, {:?})", self.plan.shape(), self.plan.dtype(), self.plan.distribution())
    }

    fn _repr_html_(&self) -> String {
        let (low, high) = self.bounds();
        let mut rows = vec![
            ("initializer", self.init.0.to_string()),
            ("shape", format!("{:?}", self.plan.shape())),
            ("dtype", self.dtype().to_owned()),
        ];
        if let Some((fan_in, fan_out)) = self.fans() {
            rows.extend([("fan_in", fan_in.to_string()), ("fan_out", fan_out.to_string())]);
        }
        rows.extend([
            ("mean", self.mean().to_string()),
            ("std", self.std().to_string()),
            ("bounds", format!("{low} to {high}")),
        ]);
        notebook::table(&rows)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, this) = (slf.py(), slf.get());
        let resolve = Bound::new(py, this.init.clone())?.getattr("resolve")?;
        Ok((resolve, (this.shape(), this.dtype()).into_pyobject(py)?))
    }
}

/// Returns the schemes that a spec can name, each as (name, [(parameter, default)], formula, source).
#[pyfunction]
#[allow(clippy::type_complexity, reason = "the tuple is only passed to Python")]
pub fn schemes() -> Vec<(&'static str, Vec<(&'static str, Option<&'static str>)>, &'static str, &'static str)>
{
    let all = fanin::spec::schemes().iter();
    all.map(|scheme| (scheme.name, scheme.parameters.to_vec(), scheme.formula, scheme.source)).collect()
}

/// Issues each warning of a plan as a Python UserWarning.
pub fn warn(py: Python<'_>, plan: &RustPlan) -> PyResult<()> {
    for warning in plan.warnings() {
        let text = CString::new(warning.to_string()).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), &text, 1)?;
    }
    Ok(())
}
