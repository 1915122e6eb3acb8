//! [`Layers`], a `VarBuilder` backend that initializes each parameter when a layer requests the parameter.

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{VarBuilder, VarMap};
use fanin::AxisLayout;
use fanin::init::{Init, constant, normal, uniform};

use crate::SeedSource;
use crate::draw::{resolve, var_of, with_name};

/// A parameter that a layer requests. A function such as [`torch_default`] chooses an initializer for the parameter.
#[derive(Debug, Clone, Copy)]
pub struct ParameterRequest<'a> {
    /// The path of the parameter, for example `fc1.weight`.
    pub name: &'a str,
    /// The shape of the parameter.
    pub shape: &'a [usize],
    /// The default initialization of candle's layer. The layer passes this value to the `VarBuilder`.
    pub hint: candle_nn::Init,
    /// The shape of the `weight` of the same module. `None` if the weight was not requested before this parameter.
    /// Torch computes the bound of a bias from the fan_in of the weight.
    pub weight: Option<&'a [usize]>,
}

type InitializerFor = dyn Fn(ParameterRequest<'_>) -> Result<Init> + Send + Sync;

/// A `VarBuilder` backend that initializes a model without a recipe. Each parameter is initialized when a layer
/// requests it.
///
/// A function such as [`torch_default`] maps each [`ParameterRequest`] to an initializer. If a parameter is requested
/// twice, both requests return the same variable. The second request returns an error if its shape or dtype is
/// different.
///
/// ```
/// use candle_core::{DType, Device};
/// use fanin_candle::{Layers, SeedSource};
/// // The values of nn.Linear(4, 8) after torch.manual_seed(0).
/// let layers = Layers::torch_defaults(SeedSource::torch(0));
/// let fc = candle_nn::linear(4, 8, layers.var_builder(DType::F32, &Device::Cpu).pp("fc"))?;
/// assert_eq!(fc.weight().get(0)?.to_vec1::<f32>()?, [-0.0037434101, 0.2682218, -0.41152257, -0.3679695]);
/// let trained = layers.var_map().all_vars(); // for an optimizer
/// # assert_eq!(trained.len(), 2);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct Layers {
    vars: VarMap,
    seed_source: Arc<Mutex<SeedSource>>,
    initializer_for: Arc<InitializerFor>,
}

impl Layers {
    /// Returns a backend that draws from `seed_source` and initializes parameters with the defaults of candle's layers.
    /// See [`candle_default`].
    pub fn candle_defaults(seed_source: SeedSource) -> Self {
        Self::new(seed_source, candle_default)
    }

    /// Returns a backend that initializes parameters with the defaults of the corresponding modules of `torch.nn`. See
    /// [`torch_default`]. The values are drawn from `seed_source`.
    ///
    /// With [`SeedSource::torch`], the values are bit-identical to PyTorch's values after `torch.manual_seed`. For
    /// this, the layers must be built in the same order as in PyTorch.
    pub fn torch_defaults(seed_source: SeedSource) -> Self {
        Self::new(seed_source, torch_default)
    }

    /// Returns a backend that draws from `seed_source` and initializes each parameter with the initializer that
    /// `initializer_for` returns.
    pub fn new(
        seed_source: SeedSource,
        initializer_for: impl Fn(ParameterRequest<'_>) -> Result<Init> + Send + Sync + 'static,
    ) -> Self {
        Self {
            vars: VarMap::new(),
            seed_source: Mutex::new(seed_source).into(),
            initializer_for: Arc::new(initializer_for),
        }
    }

    /// Returns a `VarBuilder` for building a model. The variables of the model are added to [`Layers::var_map`].
    pub fn var_builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend = Self {
            vars: self.vars.clone(),
            seed_source: self.seed_source.clone(),
            initializer_for: self.initializer_for.clone(),
        };
        VarBuilder::from_backend(Box::new(backend), dtype, device.clone())
    }

    /// Returns the variables that have been initialized so far.
    pub fn var_map(&self) -> &VarMap {
        &self.vars
    }

    /// Returns a copy of the seed source in its current state.
    pub fn seed_source(&self) -> SeedSource {
        self.seed_source.lock().expect("mutex poisoned").clone()
    }
}

impl SimpleBackend for Layers {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        hint: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let mut vars = self.vars.data().lock().expect("mutex poisoned");
        if let Some(var) = vars.get(name) {
            if var.shape() != &shape || var.dtype() != dtype {
                candle_core::bail!(
                    "{name} is requested as {dtype:?} {shape:?}, but was requested before as {:?} {:?}",
                    var.dtype(),
                    var.shape()
                );
            }
            return Ok(var.as_tensor().clone());
        }
        let weight_name = match name.rsplit_once('.') {
            Some((path, _)) => format!("{path}.weight"),
            None => "weight".to_owned(),
        };
        let weight = vars.get(&weight_name).map(|weight| weight.dims().to_vec());
        let request = ParameterRequest { name, shape: shape.dims(), hint, weight: weight.as_deref() };
        let init = with_name(name, (self.initializer_for)(request))?;
        let plan = with_name(name, resolve(&init, &shape, dtype))?;
        let mut seed_source = self.seed_source.lock().expect("mutex poisoned");
        let var = seed_source.with_stream(name, |stream| var_of(&plan, device, stream.map_err(Error::wrap)?));
        let var = with_name(name, var)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} is requested without a shape: request the parameter with VarBuilder::get")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.vars.data().lock().expect("mutex poisoned").contains_key(name)
    }
}

/// Returns the initializer that candle uses by default for the requested parameter. The layer that requests the
/// parameter describes this default in [`ParameterRequest::hint`]. Fans are computed with candle's formulas: a tensor
/// with one axis of length `n` has fan_in 1 and fan_out `n`.
///
/// # Errors
/// This function never returns an error. The return type is `Result` because [`Layers::new`] requires it.
pub fn candle_default(request: ParameterRequest<'_>) -> Result<Init> {
    Ok(match request.hint {
        candle_nn::Init::Const(value) => Init::Constant(constant(value)),
        candle_nn::Init::Randn { mean, stdev } => Init::Normal(normal(mean, stdev)),
        candle_nn::Init::Uniform { lo, up } => Init::Uniform(uniform(lo, up)),
        candle_nn::Init::Kaiming { dist, fan, non_linearity } => {
            let std = non_linearity.gain() / (fan.for_shape(&request.shape.into()) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => Init::Normal(normal(0.0, std)),
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * std;
                    Init::Uniform(uniform(-bound, bound))
                }
            }
        }
    })
}

/// Returns the initializer that the corresponding module of `torch.nn` has by default.
///
/// The weights of `Linear` and `Conv` get `kaiming_uniform(a=sqrt(5))`. Their biases are drawn from U(-b, b). The bound
/// b is 1/sqrt(fan_in), with the fan_in of the weight. `Embedding` and norms have the same initialization in candle and
/// in torch.
///
/// # Errors
/// Returns an error if a bias is requested before the weight of the same module, or if the parameter belongs to a
/// recurrent layer. In torch, the bound of a recurrent layer depends on the hidden size. The hidden size cannot be
/// computed from the shape of one parameter.
pub fn torch_default(request: ParameterRequest<'_>) -> Result<Init> {
    let last = request.name.rsplit('.').next().unwrap_or_default();
    if ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].iter().any(|start| last.starts_with(start)) {
        candle_core::bail!(
            "torch draws a recurrent layer from U(+-1/sqrt(hidden size)), and the hidden size is not known from one \
             parameter: use a recipe, or Layers::new"
        );
    }
    match request.hint {
        candle_nn::Init::Kaiming { .. } => Init::parse("kaiming_uniform(a=sqrt(5))").map_err(Error::wrap),
        candle_nn::Init::Uniform { .. } if last == "bias" => {
            let Some(weight) = request.weight else {
                candle_core::bail!(
                    "the bound of a bias is computed from the weight of the same module: request the weight first"
                );
            };
            let fan_in = AxisLayout::OutIn.fans(weight).map_err(Error::wrap)?.fan_in;
            let bound = if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 };
            Ok(Init::Uniform(uniform(-bound, bound)))
        }
        _ => candle_default(request),
    }
}
