//! A backend that gives each parameter its values as a layer asks for it.

use std::sync::Mutex;

use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{VarBuilder, VarMap};
use fanin::AxisLayout;
use fanin::init::{Init, constant, normal, uniform};

use crate::SeedSource;
use crate::draw::{named, resolve, var_of};

/// What a layer asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The parameter's path name.
    pub name: &'a str,
    /// The sizes of its axes.
    pub shape: &'a [usize],
    /// The distribution that the layer would have it follow.
    pub hint: candle_nn::Init,
    /// The shape of the `weight` beside it, if that has been asked for: a bias takes its bound from its fans.
    pub weight: Option<&'a [usize]>,
}

type Distribution = Box<dyn Fn(Asked<'_>) -> Result<Init> + Send + Sync>;

/// Parameters that are drawn as layers ask for them, by a distribution that sees name, shape and the layer's own wish.
///
/// Where a recipe speaks of a whole model, this needs none. A parameter that is asked for twice is one.
///
/// ```
/// use candle_core::{DType, Device};
/// use fanin_candle::{Layers, SeedSource};
/// // The numbers that torch.manual_seed(0); nn.Linear(4, 8) has.
/// let layers = Layers::like_torch(SeedSource::torch(0));
/// let fc = candle_nn::linear(4, 8, layers.var_builder(DType::F32, &Device::Cpu).pp("fc"))?;
/// assert_eq!(fc.weight().get(0)?.to_vec1::<f32>()?, [-0.0037434101, 0.2682218, -0.41152257, -0.3679695]);
/// let trained = layers.var_map().all_vars(); // for an optimizer
/// # assert_eq!(trained.len(), 2);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct Layers {
    vars: VarMap,
    numbers: std::sync::Arc<Mutex<SeedSource>>,
    distribution: std::sync::Arc<Distribution>,
}

impl Layers {
    /// The distributions that candle's layers ask for themselves, from a stream with a seed.
    pub fn own(numbers: SeedSource) -> Self {
        Self::by(numbers, own_law)
    }

    /// The distributions of torch's modules: with [`SeedSource::torch`] the numbers that PyTorch has after `torch.manual_seed`, if
    /// the layers are made in the same order. [`torch_law`] tells which layers.
    pub fn like_torch(numbers: SeedSource) -> Self {
        Self::by(numbers, torch_law)
    }

    /// By a distribution of your own: it gives the initializer of what is asked for.
    pub fn by(numbers: SeedSource, distribution: impl Fn(Asked<'_>) -> Result<Init> + Send + Sync + 'static) -> Self {
        let distribution: Distribution = Box::new(distribution);
        Self { vars: VarMap::new(), numbers: Mutex::new(numbers).into(), distribution: distribution.into() }
    }

    /// What a model is built from.
    pub fn var_builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend = Self { vars: self.vars.clone(), numbers: self.numbers.clone(), distribution: self.distribution.clone() };
        VarBuilder::from_backend(Box::new(backend), dtype, device.clone())
    }

    /// The variables that have been drawn.
    pub fn var_map(&self) -> &VarMap {
        &self.vars
    }

    /// The stream as it stands now.
    pub fn numbers(&self) -> SeedSource {
        self.numbers.lock().expect("mutex poisoned").clone()
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
                    "{name} is asked for as {dtype:?} {shape:?}, and before as {:?} {:?}",
                    var.dtype(),
                    var.shape()
                );
            }
            return Ok(var.as_tensor().clone());
        }
        let beside = match name.rsplit_once('.') {
            Some((path, _)) => format!("{path}.weight"),
            None => "weight".to_owned(),
        };
        let weight = vars.get(&beside).map(|weight| weight.dims().to_vec());
        let asked = Asked { name, shape: shape.dims(), hint, weight: weight.as_deref() };
        let context = |error: Error| error.context(name.to_owned());
        let init = (self.distribution)(asked).map_err(context)?;
        let plan = resolve(&init, &shape, dtype).map_err(context)?;
        let mut numbers = self.numbers.lock().expect("mutex poisoned");
        let var = named(&mut numbers, name, |stream| var_of(&plan, device, stream))?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("{name} is asked for without its shape, which nothing else tells: use get")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.vars.data().lock().expect("mutex poisoned").contains_key(name)
    }
}

/// The distribution that the layer asks for, candle's formula and all: there a tensor of one axis has a fan of one.
///
/// # Errors
/// None; it is a distribution as [`Layers::by`] takes it.
pub fn own_law(asked: Asked<'_>) -> Result<Init> {
    Ok(match asked.hint {
        candle_nn::Init::Const(value) => Init::Constant(constant(value)),
        candle_nn::Init::Randn { mean, stdev } => Init::Normal(normal(mean, stdev)),
        candle_nn::Init::Uniform { lo, up } => Init::Uniform(uniform(lo, up)),
        candle_nn::Init::Kaiming { dist, fan, non_linearity } => {
            let std = non_linearity.gain() / (fan.for_shape(&asked.shape.into()) as f64).sqrt();
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

/// The distribution of torch's module of the same kind: `Linear` and `Conv` draw `kaiming_uniform(a=sqrt(5))` and a bias from
/// U(+-1/sqrt(fan_in)) of the weight; `Embedding` and the norms are as candle has them.
///
/// # Errors
/// A recurrent layer, whose bound is that of a hidden size which the shape does not tell; a bias that is drawn before
/// its weight.
pub fn torch_law(asked: Asked<'_>) -> Result<Init> {
    let last = asked.name.rsplit('.').next().unwrap_or_default();
    if ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].iter().any(|start| last.starts_with(start)) {
        candle_core::bail!(
            "torch draws a recurrent layer from U(+-1/sqrt(hidden size)), which one parameter does not tell: use a \
             recipe, or Layers::by"
        );
    }
    match asked.hint {
        candle_nn::Init::Kaiming { .. } => Init::parse("kaiming_uniform(a=sqrt(5))").map_err(Error::wrap),
        candle_nn::Init::Uniform { .. } if last == "bias" => {
            let Some(weight) = asked.weight else {
                candle_core::bail!(
                    "the bound of a bias is that of the weight beside it, which has not been drawn"
                );
            };
            let fan_in = AxisLayout::OutIn.fans(weight).map_err(Error::wrap)?.fan_in;
            let bound = if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 };
            Ok(Init::Uniform(uniform(-bound, bound)))
        }
        _ => own_law(asked),
    }
}
