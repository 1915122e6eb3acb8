//! Writes new values to the parameters of a module.

use burn_core::module::{Module, ModuleMapper, Param};
use burn_core::tensor::{Int, Tensor, TensorData};
use fanin::Initializer as _;
use fanin::init::Init;
use fanin_recipe::{Error, ModelValues, ParameterValues, Planned, Result};

use crate::draw::{draw, transpose_data};
use crate::module_path::ModulePath;
use crate::visit::parameters;
use crate::{Axes, SeedSource};

/// A parameter of a module, for which the closure of [`init_module`] chooses an initializer.
#[derive(Debug, Clone, Copy)]
pub struct ParameterRequest<'a> {
    /// The path of the parameter, for example `layers.0.weight`.
    pub name: &'a str,
    /// The shape of the parameter, in the order of axes that was passed to [`init_module`].
    pub shape: &'a [usize],
    /// Burn's name for the type of the struct that contains the parameter, such as `Struct:Linear` or
    /// `Struct:LayerNorm`.
    pub container: &'a str,
}

/// Initializes the floating-point parameters of a module. The closure `initializer_for` returns the initializer of a
/// parameter, or `None` to leave the parameter unchanged.
///
/// Integer and boolean tensors do not change. Ids, devices, dtypes and `require_grad` do not change. On the torch
/// stream, parameters are drawn in the order of the module's fields.
///
/// # Errors
/// Returns an error if the module has a tensor of an unsupported dtype (see [`manifest`](crate::manifest)); if
/// `initializer_for` returns an error; if an initializer does not fit its parameter; or if the stream cannot draw a
/// parameter. All parameters are checked before the first value is drawn.
pub fn init_module<M: Module>(
    module: M,
    axes: Axes,
    seed_source: &mut SeedSource,
    initializer_for: impl Fn(ParameterRequest<'_>) -> Result<Option<Init>>,
) -> Result<M> {
    let mut planned = Vec::new();
    for parameter in parameters(&module, axes)? {
        let entry = parameter.entry;
        let Some(dtype) = entry.dtype.float() else { continue };
        let request =
            ParameterRequest { name: &entry.name, shape: &entry.shape, container: &parameter.container };
        if let Some(init) = initializer_for(request)? {
            let plan = init.resolve(&entry.shape, dtype);
            let plan = plan.map_err(|source| Error::Tensor { tensor: entry.name.clone(), source })?;
            planned.push(Planned::of(entry, init, plan));
        }
    }
    let values = ModelValues::new(planned, seed_source)?;
    write_values(module, axes, seed_source, values)
}

/// Draws planned values and writes the values to the parameters of a module. On the torch stream, the values are drawn
/// in the order of the module's fields.
pub(crate) fn write_values<M: Module>(
    module: M,
    axes: Axes,
    seed_source: &mut SeedSource,
    values: ModelValues<TensorData>,
) -> Result<M> {
    let mut writer = Writer { path: ModulePath::new(axes), seed_source, values, error: None };
    let module = module.map(&mut writer);
    writer.error.map_or(Ok(module), Err)
}

struct Writer<'a> {
    path: ModulePath,
    seed_source: &'a mut SeedSource,
    values: ModelValues<TensorData>,
    /// The first error. The methods of a `ModuleMapper` cannot return an error, so the error is stored here.
    error: Option<Error>,
}

impl Writer<'_> {
    /// Draws the values of the current parameter. Their axes have the order of the plan. After an error, returns `Kept`
    /// for all remaining parameters.
    fn values(&mut self) -> ParameterValues<TensorData> {
        if self.error.is_some() {
            return ParameterValues::Kept;
        }
        let name = self.path.name();
        let drawn = self.values.get(&name, self.seed_source, |plan, stream| draw(plan, stream?));
        drawn.unwrap_or_else(|error| {
            self.error = Some(match error {
                Error::Spec(source) => Error::Tensor { tensor: name, source },
                other => other,
            });
            ParameterValues::Kept
        })
    }
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let ParameterValues::Drawn { mut values, .. } = self.values() else { return param };
        if self.path.is_transposed(D) {
            values = match transpose_data(values) {
                Ok(transposed) => transposed,
                Err(error) => {
                    self.error = Some(error);
                    return param;
                }
            };
        }
        // `Param::map` changes neither the id nor the mappers of the parameter.
        param.map(|old| {
            let new = Tensor::from_data(values, (&old.device(), old.dtype()));
            new.set_require_grad(old.is_require_grad())
        })
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let ParameterValues::Integers(values) = self.values() else { return param };
        param.map(|old| {
            let data = TensorData::new(values, old.dims());
            Tensor::from_data(data, (&old.device(), old.dtype()))
        })
    }
}
