//! The walk over a module: what its parameters are called, and new values for them.

use std::collections::HashMap;

use burn_core::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn_core::tensor::{DType, Int, Tensor, TensorData};
use fanin::init::Init;
use fanin::{Initializer as _, Plan};
use fanin_recipe::{Entry, Manifest, StoredType};
use fanin_recipe::{Error, Result};

use crate::draw::{draw, drawn, turned};
use crate::{Axes, SeedSource};

/// A parameter that wants values.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its path, as in `layers.0.weight`.
    pub name: &'a str,
    /// The sizes of its axes, in the axes that were chosen.
    pub shape: &'a [usize],
    /// The type of the struct that it is a field of, as burn tells it: `Struct:Linear`, `Struct:LayerNorm`.
    pub container: &'a str,
}

/// Gives the parameters of a module new values: those for which `distribution` has an initializer. Ids, devices, types and what
/// requires gradients stay; so do integer and boolean tensors.
///
/// # Errors
/// What an initializer finds wrong with its parameter, or the stream with its plan: before a value is drawn.
pub fn init_module<M: Module>(
    module: M,
    axes: Axes,
    numbers: &mut SeedSource,
    distribution: impl Fn(Asked<'_>) -> Result<Option<Init>>,
) -> Result<M> {
    let mut plans = Vec::new();
    for found in Found::of(&module, axes)? {
        let asked = Asked { name: &found.entry.name, shape: &found.entry.shape, container: &found.container };
        if let (Some(dtype), Some(init)) = (found.entry.dtype.float(), distribution(asked)?) {
            let plan = init.resolve(&found.entry.shape, dtype);
            let plan = plan.map_err(|source| Error::Tensor { tensor: found.entry.name.clone(), source })?;
            plans.push((found.entry.name.clone(), Values::Drawn(found.entry.name, plan)));
        }
    }
    write(module, axes, numbers, plans)
}

/// The names, types and shapes of a module's parameters and running states, in the order of its fields.
///
/// # Errors
/// A type that is neither drawn nor an integer, such as a quantized one.
pub fn manifest<M: Module>(module: &M, axes: Axes) -> Result<Manifest> {
    let entries = Found::of(module, axes)?.into_iter().map(|found| found.entry).collect();
    Ok(Manifest { entries, ..Manifest::default() })
}

/// The values of a module's parameters and running states by name, in these axes: what a checkpoint is made of.
pub fn tensors<M: Module>(module: &M, axes: Axes) -> Vec<(String, TensorData)> {
    let mut reader = Reader { walk: Walk::new(axes), found: Vec::new() };
    module.visit(&mut reader);
    reader.found
}

/// What a parameter gets.
pub(crate) enum Values {
    /// Values by a plan, under the name that they depend on: another parameter's if the two are tied.
    Drawn(String, Plan),
    /// Integers.
    Integers(Vec<i64>),
}

/// Writes values to the parameters of these names.
pub(crate) fn write<M: Module>(
    module: M,
    axes: Axes,
    numbers: &mut SeedSource,
    plans: Vec<(String, Values)>,
) -> Result<M> {
    numbers.check(plans.iter().filter_map(|(name, values)| match values {
        // A tied one is drawn with the first.
        Values::Drawn(source, plan) if source == name => Some((&**name, plan)),
        _ => None,
    }))?;
    let tied = plans.iter().filter_map(|(name, values)| match values {
        Values::Drawn(source, _) if source != name => Some((source.clone(), None)),
        _ => None,
    });
    let shared = tied.collect();
    let plans = plans.into_iter().collect();
    let mut writer = Writer { walk: Walk::new(axes), numbers, plans, shared, trouble: None };
    let module = module.map(&mut writer);
    writer.trouble.map_or(Ok(module), Err)
}

/// Where in a module a walk is.
struct Walk {
    axes: Axes,
    /// Names, and the types of the structs that they are fields of.
    path: Vec<(String, String)>,
}

impl Walk {
    fn new(axes: Axes) -> Self {
        Self { axes, path: Vec::new() }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit(&mut self) {
        self.path.pop();
    }

    fn name(&self) -> String {
        self.path.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    fn container(&self) -> &str {
        self.path.last().map_or("", |(_, container)| container)
    }

    fn transpose(&self, axes: usize) -> bool {
        self.path.last().is_some_and(|(name, container)| self.axes.transpose(name, container, axes))
    }
}

/// A parameter of a module.
struct Found {
    entry: Entry,
    container: String,
}

impl Found {
    fn of<M: Module>(module: &M, axes: Axes) -> Result<Vec<Self>> {
        let mut finder = Finder { walk: Walk::new(axes), found: Vec::new(), trouble: None };
        module.visit(&mut finder);
        finder.trouble.map_or(Ok(finder.found), Err)
    }
}

struct Finder {
    walk: Walk,
    found: Vec<Found>,
    trouble: Option<Error>,
}

impl Finder {
    fn add(&mut self, dtype: DType, mut shape: Vec<usize>) {
        let name = self.walk.name();
        if self.walk.transpose(shape.len()) {
            shape.reverse();
        }
        match stored(dtype) {
            Ok(dtype) => {
                let container = self.walk.container().to_owned();
                self.found.push(Found { entry: Entry { name, dtype, shape, offsets: None }, container });
            }
            Err(error) => {
                self.trouble.get_or_insert_with(|| Error::Request(format!("{name}: {error}")));
            }
        }
    }
}

impl ModuleVisitor for Finder {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.walk.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.walk.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.base();
        self.add(value.dtype(), value.dims().to_vec());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        let value = param.base();
        self.add(value.dtype(), value.dims().to_vec());
    }
}

struct Reader {
    walk: Walk,
    found: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.walk.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.walk.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut value = param.base();
        if self.walk.transpose(D) {
            value = value.swap_dims(0, 1);
        }
        self.found.push((self.walk.name(), value.into_data()));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.found.push((self.walk.name(), param.base().into_data()));
    }
}

struct Writer<'a> {
    walk: Walk,
    numbers: &'a mut SeedSource,
    plans: HashMap<String, Values>,
    /// What tied parameters share, as torch's axes have it, once it is drawn.
    shared: HashMap<String, Option<TensorData>>,
    trouble: Option<Error>,
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.walk.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.walk.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.walk.name();
        let (None, Some(Values::Drawn(source, plan))) = (&self.trouble, self.plans.get(&name)) else {
            return param;
        };
        let transpose = self.walk.transpose(D);
        let numbers = &mut *self.numbers;
        let mut drawn = |transpose| {
            let drawn = numbers.with(source, |stream| draw(plan, stream?, transpose));
            drawn.map_err(|error| match error {
                Error::Spec(error) => Error::Tensor { tensor: source.clone(), source: error },
                other => other,
            })
        };
        let values = match self.shared.get_mut(source) {
            None => drawn(transpose),
            // An embedding and a linear layer may share values, in axes of their own.
            Some(known) => match known {
                Some(values) => Ok(values.clone()),
                None => drawn(false).map(|values| known.insert(values).clone()),
            }
            .and_then(|values| if transpose { turned(values) } else { Ok(values) }),
        };
        match values {
            // The id, the mappers and whether it is trained stay with the parameter.
            Ok(data) => param.map(|old| {
                let new = Tensor::from_data(data, (&old.device(), old.dtype()));
                new.set_require_grad(old.is_require_grad())
            }),
            Err(error) => {
                self.trouble = Some(error);
                param
            }
        }
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        match self.plans.get(&self.walk.name()) {
            Some(Values::Integers(values)) => param.map(|old| {
                let data = TensorData::new(values.clone(), old.dims());
                Tensor::from_data(data, (&old.device(), old.dtype()))
            }),
            _ => param,
        }
    }
}

/// The type's name in safetensors files.
fn stored(dtype: DType) -> Result<StoredType> {
    Ok(match dtype {
        DType::I64 => StoredType::I64,
        DType::I32 => StoredType::I32,
        DType::I16 => StoredType::I16,
        DType::I8 => StoredType::I8,
        DType::U64 => StoredType::U64,
        DType::U32 => StoredType::U32,
        DType::U16 => StoredType::U16,
        DType::U8 => StoredType::U8,
        float => StoredType::from_float(drawn(float)?),
    })
}
