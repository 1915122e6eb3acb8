//! Computes the explanation of a spec for a shape.

use fanin::init::Init;
use fanin::{AxisLayout, DType, Distribution, Fans, Initializer as _, Nonlinearity, Plan};

use super::layer::LayerShape;
use super::nonlinearity;
use super::notes::notes;
use super::stack::{LayerStack, MeanSquares};
use super::steps;
use crate::error::Result;

/// The initializer and the layer to explain.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The initializer.
    pub init: Init,
    /// The shape of the weight.
    pub shape: &'a [usize],
    /// The element type of the weight.
    pub dtype: DType,
    /// The axis layout of the weight. `None` means the layout in the spec. If the spec has no layout, the layout is
    /// [`AxisLayout::OutIn`] (torch).
    pub layout: Option<AxisLayout>,
    /// The number of groups of the convolution, from which [`Explanation::layer`] is computed. A number above 1 takes
    /// precedence over the number of groups in the spec. The value 1 means that no number is given. The number of
    /// groups in the spec then applies, or one group if the spec has no groups. [`Explanation::plan`] always uses the
    /// number of groups in the spec.
    pub groups: usize,
    /// The nonlinearity after the layer. `None` means the nonlinearity in the spec, such as `leaky_relu(0.2)` for
    /// `kaiming_normal(a=0.2)` or `sine(30)` for `siren(omega=30)`. If the spec has none, the nonlinearity is ReLU for
    /// a Kaiming scheme and linear for every other scheme.
    pub nonlinearity: Option<Nonlinearity>,
    /// The depths, in layers, at which the mean squares of a signal are computed. They must be in ascending order.
    pub depths: &'a [usize],
}

/// The explanation of a spec for a shape.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The initializer. If the spec has no axis layout, the layout of [`Options::layout`] is added to the initializer.
    pub init: Init,
    /// The plan of the initializer.
    pub plan: Plan,
    /// The shape of the layer, or `None` for scalars and vectors.
    pub layer: Option<LayerShape>,
    /// The fans in the formula of the scheme, or `None` if the formula uses no fans.
    pub formula_fans: Option<Fans>,
    /// The nonlinearity after the layer.
    pub nonlinearity: Nonlinearity,
    /// Whether the spec or the options name the nonlinearity. If false, `nonlinearity` is a default.
    pub nonlinearity_is_given: bool,
    /// The mean squares of a signal and of its gradient at each of [`Options::depths`]. The value is `None` for
    /// scalars, vectors, empty tensors and fused parameters. It is also `None` if the weights are not random or their
    /// mean is not 0.
    pub signal: Option<Vec<MeanSquares>>,
    /// Remarks, for example a remark that the fans in the formula differ from the fans of the layer.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Explains an initializer.
    ///
    /// # Errors
    /// Returns an error if the shape, the groups, the axis layout or an argument of the spec is not valid.
    pub fn new(options: &Options<'_>) -> Result<Self> {
        // If the initializer is for a stack of tensors, one of these tensors is explained.
        let (each, shape) = match &options.init {
            Init::Stacked(stack) => (
                stack.each().clone(),
                stack.shape_of_each(options.shape).unwrap_or_else(|| options.shape.to_vec()),
            ),
            init => (init.clone(), options.shape.to_vec()),
        };
        let spec = each.to_string();
        let spec_layout: Option<AxisLayout> =
            steps::argument(&spec, "layout").and_then(|name| name.parse().ok());
        let spec_groups = steps::argument(&spec, "groups").and_then(|groups| groups.parse().ok());
        let layout = options.layout.or(spec_layout).unwrap_or_default();
        let groups = if options.groups != 1 { options.groups } else { spec_groups.unwrap_or(1) };
        // The layout of the options is added to a spec without a layout, if the scheme has a `layout` argument.
        let (init, each) = match options.layout {
            Some(layout) if spec_layout.is_none() && layout != AxisLayout::default() => {
                match (steps::with_argument(&each, "layout", &layout), &options.init) {
                    (Some(each), Init::Stacked(_)) => (options.init.clone(), each),
                    (Some(each), _) => (each.clone(), each),
                    (None, _) => (options.init.clone(), each),
                }
            }
            _ => (options.init.clone(), each),
        };
        let plan = init.resolve(options.shape, options.dtype)?;
        let layer = LayerShape::of(&shape, layout, groups)?;
        let each_plan = each.resolve(&shape, options.dtype)?;
        let formula_fans = each_plan.fans();
        let given = options.nonlinearity.or_else(|| nonlinearity_of(&each, &spec));
        let nonlinearity = given.unwrap_or(match &each {
            Init::Kaiming(_) => Nonlinearity::Relu,
            _ => Nonlinearity::Linear,
        });
        // The signal formulas hold only for one layer with random weights. Each block of a fused parameter is a layer.
        let random =
            !is_fixed(each_plan.distribution()) && !matches!(each, Init::Blocks(_) | Init::ZeroHadamard(_));
        // The formulas for a signal hold only if the mean of the weights is 0.
        let centred = plan.mean().abs() <= 1e-9 * plan.std();
        let signal = layer.as_ref().filter(|_| random && centred && !plan.is_empty()).map(|layer| {
            LayerStack { fans: layer.fans(), std: plan.std(), nonlinearity }.after(options.depths)
        });
        let mut notes = notes(&each, &each_plan, layer.as_ref(), spec_layout, random);
        if let Init::Stacked(_) = init {
            let shape = fanin_recipe::text::shape(&shape);
            notes.insert(0, format!("A stack: each of its tensors is {shape}, and has fans of its own."));
        }
        let nonlinearity_is_given = given.is_some();
        Ok(Self { init, plan, layer, formula_fans, nonlinearity, nonlinearity_is_given, signal, notes })
    }

    /// Returns the factors by which one layer multiplies the mean squares of the signal and of the gradient. The inputs
    /// of the layer have mean square 1. Returns `None` if [`Explanation::signal`] is `None`.
    pub fn factors(&self) -> Option<(f64, f64)> {
        let (Some(_), Some(layer)) = (&self.signal, &self.layer) else { return None };
        let stack = LayerStack { fans: layer.fans(), std: self.plan.std(), nonlinearity: self.nonlinearity };
        stack.after(&[1]).first().map(|after| (after.forward, after.backward))
    }
}

/// Returns the nonlinearity that a spec names, or `None` if it names none.
fn nonlinearity_of(init: &Init, spec: &str) -> Option<Nonlinearity> {
    let name = steps::argument(spec, "nonlinearity").or_else(|| steps::argument(spec, "gain"));
    match (name.as_deref(), init) {
        // Without a nonlinearity, a Kaiming spec stands for leaky_relu with slope a. If |a| > 1, as in torch's `Linear`
        // (a = sqrt(5)), a only sets the gain.
        (None | Some("leaky_relu"), Init::Kaiming(_)) => match steps::slope(spec) {
            0.0 => Some(Nonlinearity::Relu),
            slope if slope.abs() > 1.0 => None,
            slope => Some(Nonlinearity::LeakyRelu { slope }),
        },
        (_, Init::Siren(_)) => {
            let omega = steps::argument(spec, "omega").and_then(|omega| omega.parse().ok());
            Some(Nonlinearity::Sine { omega: omega.unwrap_or(30.0) })
        }
        (Some(name), _) => nonlinearity::read(name).ok(),
        (None, _) => None,
    }
}

/// Returns whether a distribution determines every value without random numbers.
fn is_fixed(distribution: Distribution) -> bool {
    matches!(
        distribution,
        Distribution::Constant { .. }
            | Distribution::Eye
            | Distribution::Dirac { .. }
            | Distribution::Hadamard { .. }
            | Distribution::RepeatedEye { .. }
            | Distribution::Arange { .. }
    )
}
