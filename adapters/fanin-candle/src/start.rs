//! A recipe held against a model: all of it planned before a value is drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};
use fanin_recipe::{Entry, Manifest, StoredType};
use fanin_recipe::models::Model;
use fanin_recipe::recipe::{Planned, Recipe, Action};

use crate::SeedSource;
use crate::draw::{named, tensor_of, var_of};

/// A recipe with its variables set, ready to start models.
#[derive(Debug, Clone)]
pub struct RecipeInit {
    recipe: Recipe,
    settings: Vec<(String, f64)>,
}

impl RecipeInit {
    /// By this recipe.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, settings: Vec::new() }
    }

    /// By the recipe of a built-in model, as `fanin models` lists them.
    ///
    /// # Errors
    /// If there is no such model; the message names one that is near.
    pub fn built_in(name: &str) -> Result<Self> {
        let model = Model::require(name).map_err(Error::wrap)?;
        let recipe = Recipe::parse(model.recipe_toml, model.recipe_name.as_ref()).map_err(Error::wrap)?;
        Ok(Self::new(recipe))
    }

    /// Sets a variable of the recipe. What is not there is an error once the recipe is held against a model.
    #[must_use]
    pub fn set(mut self, name: &str, value: f64) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }

    /// Builds a model whose parameters follow the recipe, and gives them with it.
    ///
    /// `model` is called twice. First it gets zeros without memory, so that its parameters' names, shapes and order are
    /// known: the recipe is held against all of them, so an unmatched parameter or an idle rule is an error before one
    /// value is drawn. Then it gets the values. On torch's stream they are drawn in the order in which `model` asked.
    ///
    /// # Errors
    /// What the recipe finds wrong with the model; a model that asks for other parameters the second time, or for one
    /// name in two shapes; what `model` says.
    pub fn build<M>(
        &self,
        dtype: DType,
        device: &Device,
        numbers: &mut SeedSource,
        mut model: impl FnMut(VarBuilder<'static>) -> Result<M>,
    ) -> Result<(M, VarMap)> {
        let sketch = Sketch::default();
        model(VarBuilder::from_backend(Box::new(sketch.clone()), dtype, device.clone()))?;
        let entries = std::mem::take(&mut *sketch.lock());
        let vars = self.var_map(&Manifest { entries, ..Manifest::default() }, device, numbers)?;
        let known = vars.data().lock().expect("mutex poisoned").len();
        let model = model(VarBuilder::from_varmap(&vars, dtype, device))?;
        let data = vars.data().lock().expect("mutex poisoned");
        if data.len() != known {
            candle_core::bail!("the model asked for {} parameters, and before for {known}", data.len());
        }
        drop(data);
        Ok((model, vars))
    }

    /// Variables for the tensors of a manifest, in its types and, on torch's stream, its order. Tied tensors are variables
    /// of their own with the same values: a model that shares one asks for one name.
    ///
    /// # Errors
    /// What the recipe finds wrong with the manifest; a tensor that it would copy or skip; a type that candle has not.
    pub fn var_map(&self, manifest: &Manifest, device: &Device, numbers: &mut SeedSource) -> Result<VarMap> {
        let planned = self.plan(manifest, numbers)?;
        let vars = VarMap::new();
        let mut data = vars.data().lock().expect("mutex poisoned");
        let mut shared = Shared::of(&planned);
        for planned in &planned {
            let Entry { name, dtype, shape, .. } = &planned.entry;
            let var = match &planned.plan {
                Some(plan) => shared.values(planned, |name| {
                    let var = named(numbers, name, |stream| var_of(plan, device, stream))?;
                    Ok(var.into_inner())
                })?,
                None => match integers(planned)? {
                    Some(values) => integer_tensor(values, shape, candle_type(*dtype)?, device)?,
                    None => candle_core::bail!(
                        "{} leaves {name} as it is, and nothing says what that would be: give it a spec",
                        planned.description()
                    ),
                },
            };
            data.insert(name.clone(), Var::from_tensor(&var)?);
        }
        drop(data);
        Ok(vars)
    }

    /// Gives the variables of a map new values, in their types and on their devices, and tells what each one got. Either
    /// all get them or none.
    ///
    /// A `VarMap` forgets the order in which it was filled: torch's stream needs [`RecipeInit::fill_in_order`].
    ///
    /// # Errors
    /// torch's stream; what the recipe finds wrong with the variables.
    pub fn fill(&self, vars: &VarMap, numbers: &mut SeedSource) -> Result<Vec<Planned>> {
        if numbers.are_sequential() {
            candle_core::bail!(
                "torch's numbers depend on the order of the parameters, which a VarMap does not keep: use \
                 fill_in_order or build"
            );
        }
        let data = vars.data().lock().expect("mutex poisoned");
        let names: BTreeSet<String> = data.keys().cloned().collect();
        drop(data);
        self.fill_in_order(vars, names, numbers)
    }

    /// As [`RecipeInit::fill`], one variable after another in this order, on either stream.
    ///
    /// # Errors
    /// Names that are not all of the map's, each once; what the recipe finds wrong with the variables.
    pub fn fill_in_order<S: AsRef<str>>(
        &self,
        vars: &VarMap,
        names: impl IntoIterator<Item = S>,
        numbers: &mut SeedSource,
    ) -> Result<Vec<Planned>> {
        let data = vars.data().lock().expect("mutex poisoned");
        let mut left: BTreeSet<&str> = data.keys().map(String::as_str).collect();
        let mut entries = Vec::new();
        for name in names {
            let name = name.as_ref();
            let Some(var) = data.get(name).filter(|_| left.remove(name)) else {
                candle_core::bail!("{name:?} is not in the VarMap, or was named before");
            };
            entries.push(entry(name, var.shape(), var.dtype())?);
        }
        if !left.is_empty() {
            let left: Vec<&str> = left.into_iter().collect();
            candle_core::bail!("the order leaves out {}", left.join(", "));
        }
        let planned = self.plan(&Manifest { entries, ..Manifest::default() }, numbers)?;
        let mut shared = Shared::of(&planned);
        for planned in &planned {
            let var = &data[&planned.entry.name];
            if let Some(plan) = &planned.plan {
                let values = shared.values(planned, |name| {
                    named(numbers, name, |stream| tensor_of(plan, var.device(), stream))
                })?;
                var.set(&values)?;
            } else if let Some(values) = integers(planned)? {
                var.set(&integer_tensor(values, var.dims(), var.dtype(), var.device())?)?;
            }
        }
        Ok(planned)
    }

    fn plan(&self, manifest: &Manifest, numbers: &SeedSource) -> Result<Vec<Planned>> {
        let planned = self.recipe.apply(manifest, &self.settings).map_err(Error::wrap)?;
        let own = planned.iter().filter(|planned| planned.tied.is_none());
        let plans = own.filter_map(|planned| Some((&*planned.entry.name, planned.plan.as_ref()?)));
        numbers.check(plans).map_err(Error::wrap)?;
        Ok(planned)
    }
}

/// The values of tensors that others are tied to, once they are drawn.
struct Shared(BTreeMap<String, Option<Tensor>>);

impl Shared {
    fn of(planned: &[Planned]) -> Self {
        Self(planned.iter().filter_map(|planned| Some((planned.tied.clone()?, None))).collect())
    }

    /// The values of this tensor: those of the one it is tied to, or drawn under the name that they depend on.
    fn values(&mut self, planned: &Planned, draw: impl FnOnce(&str) -> Result<Tensor>) -> Result<Tensor> {
        let name = planned.source();
        let Some(known) = self.0.get_mut(name) else { return draw(name) };
        let values = match known {
            Some(values) => values.clone(),
            None => known.insert(draw(name)?).clone(),
        };
        // A copy: variables that share memory would be trained twice.
        values.detach().copy()
    }
}

/// The values of an integer tensor; nothing for one that the recipe leaves alone.
fn integers(planned: &Planned) -> Result<Option<Vec<i64>>> {
    let (name, count) = (&planned.entry.name, planned.entry.values());
    match (planned.integer, &planned.action) {
        (Some(value), _) => {
            let value = i64::try_from(value).map_err(|_| {
                Error::msg(format!("{name}: {value} is more than candle's largest integer type, i64, holds"))
            })?;
            Ok(Some(vec![value; count]))
        }
        (None, Action::Arange) => Ok(Some((0..count).map(|index| planned.step(index) as i64).collect())),
        (None, _) => Ok(None),
    }
}

fn integer_tensor(values: Vec<i64>, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// The type's name in safetensors files.
fn stored_type(dtype: DType) -> Result<StoredType> {
    Ok(match dtype {
        DType::F64 => StoredType::F64,
        DType::F32 => StoredType::F32,
        DType::F16 => StoredType::F16,
        DType::BF16 => StoredType::BF16,
        DType::I64 => StoredType::I64,
        DType::I32 => StoredType::I32,
        DType::I16 => StoredType::I16,
        DType::U32 => StoredType::U32,
        DType::U8 => StoredType::U8,
        other => {
            candle_core::bail!("dtype {other:?} is neither drawn nor an integer: take f32, f64, f16 or bf16")
        }
    })
}

fn candle_type(stored: StoredType) -> Result<DType> {
    Ok(match stored {
        StoredType::I64 => DType::I64,
        StoredType::I32 => DType::I32,
        StoredType::I16 => DType::I16,
        StoredType::U32 => DType::U32,
        StoredType::U8 => DType::U8,
        other => candle_core::bail!("candle has no tensors of {other}"),
    })
}

fn entry(name: &str, shape: &Shape, dtype: DType) -> Result<Entry> {
    let dtype = stored_type(dtype).map_err(|error| error.context(name.to_owned()))?;
    Ok(Entry { name: name.to_owned(), dtype, shape: shape.dims().to_vec(), offsets: None })
}

/// A backend that writes down what is asked for, and gives zeros that take no memory.
#[derive(Clone, Default)]
struct Sketch(Arc<Mutex<Vec<Entry>>>);

impl Sketch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.0.lock().expect("mutex poisoned")
    }
}

impl SimpleBackend for Sketch {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut entries = self.lock();
        match entries.iter().find(|entry| entry.name == name) {
            Some(known) if known.shape != shape.dims() => {
                candle_core::bail!("{name} is asked for as {shape:?}, and before as {:?}", known.shape);
            }
            Some(_) => {}
            None => entries.push(entry(name, &shape, dtype)?),
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} is asked for without its shape, which nothing else tells: use get")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().iter().any(|entry| entry.name == name)
    }
}
