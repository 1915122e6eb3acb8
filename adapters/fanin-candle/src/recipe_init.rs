//! [`RecipeInit`], which initializes candle models with a recipe. The whole model is planned before the first value is
//! drawn.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Error, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};
use fanin_recipe::{Entry, Manifest, ModelValues, ParameterValues, Planned, Recipe, StoredType};

use crate::SeedSource;
use crate::draw::{var_of, with_name};

/// A recipe and values for its variables. The methods initialize candle models.
#[derive(Debug, Clone)]
pub struct RecipeInit(fanin_recipe::RecipeInit);

impl RecipeInit {
    /// Returns a `RecipeInit` for `recipe`.
    pub fn new(recipe: Recipe) -> Self {
        Self(fanin_recipe::RecipeInit::new(recipe))
    }

    /// Returns a `RecipeInit` for the recipe of the built-in model `name`. The command `fanin models` lists the names
    /// of the models.
    ///
    /// # Errors
    /// Returns an error if no built-in model is named `name`. The error suggests a similar name if there is one.
    pub fn built_in(name: &str) -> Result<Self> {
        fanin_recipe::RecipeInit::built_in(name).map(Self).map_err(Error::wrap)
    }

    /// Sets a variable of the recipe to `value`. If the recipe does not have the variable, the functions that
    /// initialize a model return an error.
    #[must_use]
    pub fn set(self, name: &str, value: f64) -> Self {
        Self(self.0.set(name, value))
    }

    /// Builds a model and initializes its parameters with the recipe. Returns the model and its variables.
    ///
    /// `model` is called twice. In the first call, every parameter is a tensor of zeros that takes no memory. This call
    /// records the names, the shapes and the order of the parameters. Then the recipe is checked against the names and
    /// shapes. A mistake, such as an unused rule, is found before the first value is drawn.
    ///
    /// In the second call, the parameters have the values of the recipe. On the torch stream, the values are drawn in
    /// the order in which the first call requested the parameters.
    ///
    /// # Errors
    /// Returns an error if the recipe does not fit the model; if the recipe copies or skips a parameter; if the second
    /// call requests a parameter that the first call did not request; if `model` requests the same name with different
    /// shapes; or if `model` returns an error.
    pub fn build<M>(
        &self,
        dtype: DType,
        device: &Device,
        seed_source: &mut SeedSource,
        mut model: impl FnMut(VarBuilder<'static>) -> Result<M>,
    ) -> Result<(M, VarMap)> {
        let recorder = Recorder::default();
        model(VarBuilder::from_backend(Box::new(recorder.clone()), dtype, device.clone()))?;
        let entries = std::mem::take(&mut *recorder.lock());
        let vars = self.var_map(&Manifest { entries, ..Manifest::default() }, device, seed_source)?;
        let expected = vars.data().lock().expect("mutex poisoned").len();
        let model = model(VarBuilder::from_varmap(&vars, dtype, device))?;
        let found = vars.data().lock().expect("mutex poisoned").len();
        if found != expected {
            candle_core::bail!(
                "the model requested {expected} parameters the first time and {found} the second time: it must \
                 request the same parameters each time"
            );
        }
        Ok((model, vars))
    }

    /// Returns initialized variables for the tensors of a manifest, in the dtypes of the manifest. On the torch stream,
    /// the values are drawn in the order of the manifest.
    ///
    /// Tied tensors become separate variables with equal values, because every name has its own variable. To share one
    /// variable, two layers must request the same name.
    ///
    /// # Errors
    /// Returns an error if the recipe does not fit the manifest; if the recipe copies or skips a tensor; or if candle
    /// does not have the dtype of a tensor.
    pub fn var_map(
        &self,
        manifest: &Manifest,
        device: &Device,
        seed_source: &mut SeedSource,
    ) -> Result<VarMap> {
        let mut values = self.0.values(manifest, seed_source).map_err(Error::wrap)?;
        if let Some(kept) = values.planned().iter().find(|planned| !planned.is_known()) {
            candle_core::bail!(
                "{}: a new variable has no values to keep: replace {} by a spec",
                kept.description(),
                kept.action
            );
        }
        let dtypes = manifest.entries.iter().map(|entry| candle_dtype(entry.dtype));
        let dtypes = dtypes.collect::<Result<Vec<DType>>>()?;
        let vars = VarMap::new();
        let mut data = vars.data().lock().expect("mutex poisoned");
        for (entry, dtype) in manifest.entries.iter().zip(dtypes) {
            let tensor = new_values(&mut values, &entry.name, &entry.shape, dtype, device, seed_source)?;
            let tensor = tensor.expect("an error was returned above for copied and skipped tensors");
            data.insert(entry.name.clone(), Var::from_tensor(&tensor)?);
        }
        drop(data);
        Ok(vars)
    }

    /// Draws new values for the variables of a `VarMap` with the recipe. Returns the plan of each variable. Dtypes and
    /// devices do not change. Variables whose rule is `copy` or `skip` keep their values. If the recipe has an error or
    /// does not fit the variables, no variable changes.
    ///
    /// Only the native stream can be used, because a `VarMap` does not store the order of its variables. Use
    /// [`RecipeInit::fill_in_order`] for the torch stream.
    ///
    /// # Errors
    /// Returns an error if `seed_source` is the torch stream, or if the recipe does not fit the variables.
    pub fn fill(&self, vars: &VarMap, seed_source: &mut SeedSource) -> Result<Vec<Planned>> {
        if seed_source.is_sequential() {
            candle_core::bail!(
                "the values of the torch stream depend on the order of the parameters, which a VarMap does not keep: \
                 use fill_in_order or build"
            );
        }
        let names: BTreeSet<String> = vars.data().lock().expect("mutex poisoned").keys().cloned().collect();
        self.fill_in_order(vars, names, seed_source)
    }

    /// Like [`RecipeInit::fill`], but draws the values in the order of `names`. Both streams can be used.
    ///
    /// # Errors
    /// Returns an error if `names` does not contain every name of the map exactly once, or if the recipe does not fit
    /// the variables.
    pub fn fill_in_order<S: AsRef<str>>(
        &self,
        vars: &VarMap,
        names: impl IntoIterator<Item = S>,
        seed_source: &mut SeedSource,
    ) -> Result<Vec<Planned>> {
        let data = vars.data().lock().expect("mutex poisoned");
        let mut missing: BTreeSet<&str> = data.keys().map(String::as_str).collect();
        let mut entries = Vec::new();
        for name in names {
            let name = name.as_ref();
            let Some(var) = data.get(name).filter(|_| missing.remove(name)) else {
                candle_core::bail!(
                    "{name:?} is not in the VarMap or occurs twice in the names: name every variable of the VarMap once"
                );
            };
            entries.push(entry(name, var.shape(), var.dtype())?);
        }
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().collect();
            candle_core::bail!(
                "the names leave out {}: name every variable of the VarMap once",
                missing.join(", ")
            );
        }
        let manifest = Manifest { entries, ..Manifest::default() };
        let mut values = self.0.values(&manifest, seed_source).map_err(Error::wrap)?;
        for entry in &manifest.entries {
            let var = &data[&entry.name];
            let (dtype, device) = (var.dtype(), var.device());
            if let Some(tensor) =
                new_values(&mut values, &entry.name, &entry.shape, dtype, device, seed_source)?
            {
                var.set(&tensor)?;
            }
        }
        Ok(values.into_planned())
    }
}

/// Returns the new values of a parameter, or `None` if the recipe does not change the parameter. The returned tensor
/// does not share memory with any other parameter.
fn new_values(
    values: &mut ModelValues<Tensor>,
    name: &str,
    shape: &[usize],
    dtype: DType,
    device: &Device,
    seed_source: &mut SeedSource,
) -> Result<Option<Tensor>> {
    let drawn = values.get(name, seed_source, |plan, stream| {
        let var = stream.map_err(Error::wrap).and_then(|stream| var_of(plan, device, stream));
        with_name(name, var.map(Var::into_inner))
    })?;
    Ok(match drawn {
        // Tied variables must not share memory. Otherwise, an optimizer step would update the memory once for each
        // variable.
        ParameterValues::Drawn { values, is_shared: true } => Some(values.detach().copy()?),
        ParameterValues::Drawn { values, is_shared: false } => Some(values),
        ParameterValues::Integers(values) => {
            Some(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
        }
        ParameterValues::Kept => None,
    })
}

/// Returns the safetensors dtype that corresponds to a candle dtype. Returns an error if fanin cannot initialize
/// tensors of the dtype.
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
        other => candle_core::bail!(
            "cannot initialize a tensor of dtype {other:?}: use f32, f64, f16, bf16 or an integer dtype"
        ),
    })
}

/// Returns the candle dtype that corresponds to a safetensors dtype. Returns an error if candle has no such dtype.
fn candle_dtype(stored: StoredType) -> Result<DType> {
    Ok(match stored {
        StoredType::F64 => DType::F64,
        StoredType::F32 => DType::F32,
        StoredType::F16 => DType::F16,
        StoredType::BF16 => DType::BF16,
        StoredType::I64 => DType::I64,
        StoredType::I32 => DType::I32,
        StoredType::I16 => DType::I16,
        StoredType::U32 => DType::U32,
        StoredType::U8 => DType::U8,
        other => candle_core::bail!("candle does not have dtype {other}"),
    })
}

fn entry(name: &str, shape: &Shape, dtype: DType) -> Result<Entry> {
    let dtype = with_name(name, stored_type(dtype))?;
    Ok(Entry { name: name.to_owned(), dtype, shape: shape.dims().to_vec(), offsets: None })
}

/// A `VarBuilder` backend that records the requested parameters. To save memory, it returns a scalar zero, broadcast to
/// the requested shape.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Entry>>>);

impl Recorder {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.0.lock().expect("mutex poisoned")
    }
}

impl SimpleBackend for Recorder {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut entries = self.lock();
        match entries.iter().find(|entry| entry.name == name) {
            Some(known) if known.shape != shape.dims() => {
                candle_core::bail!(
                    "{name} is requested with shape {shape:?}, but was requested before with shape {:?}",
                    known.shape
                );
            }
            Some(known) => {
                let requested = entry(name, &shape, dtype)?;
                if known.dtype != requested.dtype {
                    candle_core::bail!(
                        "{name} is requested with dtype {}, but was requested before with dtype {}",
                        requested.dtype,
                        known.dtype
                    );
                }
            }
            None => entries.push(entry(name, &shape, dtype)?),
        }
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} is requested without a shape: request the parameter with VarBuilder::get")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().iter().any(|entry| entry.name == name)
    }
}
