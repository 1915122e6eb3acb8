//! A spec explained on a shape: fans, numbers put into the formula, and what the weights do to a signal.

pub mod activation;
pub mod json;
pub mod signal;
pub mod steps;
pub mod wiring;

use std::cmp::Ordering;

use fanin::init::Init;
use fanin::{AxisLayout, DType, Distribution, Fans, Initializer as _, Plan};

use crate::error::Result;
use activation::Activation;
use signal::{After, Stack};
use wiring::Wiring;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The initializer.
    pub init: Init,
    /// The weight's shape.
    pub shape: &'a [usize],
    /// Its type.
    pub dtype: DType,
    /// Which of its axes is which; the spec's own layout, or torch's, if left out.
    pub layout: Option<AxisLayout>,
    /// Groups of a convolution.
    pub groups: usize,
    /// What follows the layer; what the spec names if left out.
    pub activation: Option<Activation>,
    /// Numbers of layers to go through.
    pub depths: &'a [usize],
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The initializer, in the layout asked for.
    pub init: Init,
    /// Its plan.
    pub plan: Plan,
    /// How the layer is wired, if it is a layer.
    pub wiring: Option<Wiring>,
    /// The fans that the scheme's formula uses, if it uses any.
    pub counted: Option<Fans>,
    /// What follows the layer.
    pub activation: Activation,
    /// Whether the spec or the question named it.
    pub named: bool,
    /// What the layers do to a signal, if the weights are drawn about 0.
    pub signal: Option<Vec<After>>,
    /// Another spec and why, where the scheme's fans are not the layer's.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Explains.
    ///
    /// # Errors
    /// What is wrong with the shape, the groups or the spec on it.
    pub fn new(question: &Question<'_>) -> Result<Self> {
        // A stack is explained by one of its tensors.
        let (each, shape) = match &question.init {
            Init::Stacked(stack) => (
                stack.each().clone(),
                stack.shape_of_each(question.shape).unwrap_or_else(|| question.shape.to_vec()),
            ),
            init => (init.clone(), question.shape.to_vec()),
        };
        let spec = each.to_string();
        let own: Option<AxisLayout> = steps::argument(&spec, "layout").and_then(|name| name.parse().ok());
        let own_groups = steps::argument(&spec, "groups").and_then(|groups| groups.parse().ok());
        let layout = question.layout.or(own).unwrap_or_default();
        let groups = if question.groups > 1 { question.groups } else { own_groups.unwrap_or(1) };
        // The spec's own layout stands: what it leaves open is as the question says, if the scheme knows of layouts.
        let (init, each) = match question.layout {
            Some(layout) if own.is_none() && layout != AxisLayout::default() => {
                match (steps::with_argument(&each, "layout", &layout), &question.init) {
                    (Some(each), Init::Stacked(_)) => (question.init.clone(), each),
                    (Some(each), _) => (each.clone(), each),
                    (None, _) => (question.init.clone(), each),
                }
            }
            _ => (question.init.clone(), each),
        };
        let plan = init.resolve(question.shape, question.dtype)?;
        let wiring = Wiring::of(&shape, layout, groups)?;
        let one = each.resolve(&shape, question.dtype)?;
        let counted = one.fans();
        let from_spec = steps::argument(&spec, "nonlinearity").or_else(|| steps::argument(&spec, "gain"));
        let from_spec = match (from_spec.as_deref(), &each) {
            // Kaiming's default is a leaky_relu of slope a; one steeper than 1 is a way to write a number.
            (None | Some("leaky_relu"), Init::Kaiming(_)) => match steps::slope(&spec) {
                0.0 => Some(Activation::RELU),
                slope if slope.abs() > 1.0 => None,
                slope => Some(Activation::LeakyRelu(slope)),
            },
            (_, Init::Siren(_)) => {
                let omega = steps::argument(&spec, "omega").and_then(|omega| omega.parse().ok());
                Some(Activation::Sine(omega.unwrap_or(30.0)))
            }
            (Some(name), _) => Activation::read(name).ok(),
            (None, _) => None,
        };
        let named = question.activation.is_some() || from_spec.is_some();
        let activation = question.activation.or(from_spec).unwrap_or(match &each {
            Init::Kaiming(_) => Activation::RELU,
            _ => Activation::Linear,
        });
        // Fused parts are layers of their own, and what is not drawn is no average over many.
        let drawn = !is_fixed(one.distribution()) && !matches!(each, Init::Blocks(_) | Init::ZeroHadamard(_));
        // A mean that is not 0 adds up over the inputs, and the sums' distribution is another.
        let centred = plan.mean().abs() <= 1e-9 * plan.std();
        let signal = wiring
            .as_ref()
            .filter(|_| drawn && centred && !plan.is_empty())
            .map(|wiring| Stack { fans: wiring.fans(), std: plan.std(), activation }.after(question.depths));
        let mut notes = notes(&each, &one, wiring.as_ref(), counted, own, drawn);
        if let Init::Stacked(_) = init {
            let shape = fanin_recipe::text::shape(&shape);
            notes.insert(
                0,
                format!("A stack: each of its tensors is {shape}, with fans and a start of its own."),
            );
        }
        Ok(Self { init, plan, wiring, counted, activation, named, signal, notes })
    }

    /// The factors that one layer puts on the mean square of a signal, and of a gradient, that comes in as 1.
    pub fn factors(&self) -> Option<(f64, f64)> {
        let (signal, wiring) = (self.signal.as_ref()?, self.wiring.as_ref()?);
        _ = signal;
        let stack = Stack { fans: wiring.fans(), std: self.plan.std(), activation: self.activation };
        stack.after(&[1]).first().map(|after| (after.forward, after.backward))
    }
}

/// Whether a distribution has no chance in it.
fn is_fixed(distribution: Distribution) -> bool {
    matches!(
        distribution,
        Distribution::Constant { .. }
            | Distribution::Eye
            | Distribution::Dirac { .. }
            | Distribution::Hadamard { .. }
            | Distribution::RepeatedEye { .. }
    )
}

/// What is worth a remark.
fn notes(
    init: &Init,
    plan: &Plan,
    wiring: Option<&Wiring>,
    counted: Option<Fans>,
    own: Option<AxisLayout>,
    drawn: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(wiring) = wiring else {
        notes.push(
            "A vector or a scalar has no fans: it is a bias, a gain or an embedding of one thing.".to_owned(),
        );
        return notes;
    };
    let fans = wiring.fans();
    if let Some(counted) = counted.filter(|counted| *counted != fans) {
        let mut why = Vec::new();
        if own.is_some_and(|own| own != wiring.layout) {
            why.push(format!(
                "the spec says layout={} and the layer is {}",
                own.unwrap_or_default(),
                wiring.layout
            ));
        }
        if wiring.groups > 1 {
            let groups = wiring.groups;
            why.push(match steps::with_argument(init, "groups", &groups) {
                Some(_) => format!("the spec says nothing of the {groups} groups, and groups={groups} would"),
                None => format!("the scheme knows nothing of the {groups} groups"),
            });
        }
        notes.push(format!(
            "The formula counts fan_in {} and fan_out {}, the layer has {} and {}: {}.",
            counted.fan_in,
            counted.fan_out,
            fans.fan_in,
            fans.fan_out,
            if why.is_empty() { "other axes".to_owned() } else { why.join(", and ") }
        ));
    }
    if wiring.layout == AxisLayout::InOut && !wiring.kernel.is_empty() {
        notes.push(
            "With a stride s an output of a transposed convolution is met by 1/s of the taps along each axis: its fan_in \
             is less by that, and so is the forward variance."
                .to_owned(),
        );
    }
    match plan.distribution() {
        Distribution::Constant { value: 0.0 } => {
            notes.push("Zeros pass no signal, and no gradient to what is before them.".to_owned())
        }
        Distribution::Constant { .. } => {
            notes.push(
                "All outputs of the layer start as one number, and where the next layer treats them alike they stay alike."
                    .to_owned(),
            )
        }
        Distribution::Eye | Distribution::Dirac { .. } => {
            notes.push("The layer passes its input on as it is, where it has as many outputs.".to_owned())
        }
        _ if matches!(init, Init::Blocks(_)) => notes.push(
            "Fused parts: each is a layer of its own, with its own fans. Explained one by one, they say what they do to a \
             signal."
                .to_owned(),
        ),
        _ if drawn && plan.mean().abs() > 1e-9 * plan.std() => notes.push(format!(
            "The mean {} is not 0: over {} inputs it adds up, and drowns the signal.",
            fanin_recipe::text::short(plan.mean()),
            fans.fan_in
        )),
        _ if matches!(init, Init::DeltaOrthogonal(_)) => notes.push(
            "At the centre tap stands a matrix whose singular values are all the gain: so has the convolution itself."
                .to_owned(),
        ),
        Distribution::Orthogonal { .. } if !wiring.kernel.is_empty() => notes.push(
            "The matrix of outputs by inputs and taps has the gain for every singular value; the convolution that slides it \
             has not, and keeps lengths on the average alone. delta_orthogonal is the scheme for that."
                .to_owned(),
        ),
        Distribution::Orthogonal { .. } => {
            let text = match fans.fan_in.cmp(&fans.fan_out) {
                Ordering::Equal => "lengths are kept exactly, not only on the average",
                Ordering::Less => {
                    "a signal keeps its length (spread over more outputs), a gradient the part of it in fan_in directions"
                }
                Ordering::Greater => {
                    "a gradient keeps its length (spread over more inputs), a signal the part of it in fan_out directions"
                }
            };
            notes.push(format!("Every singular value is the gain: {text}."));
        }
        _ => {}
    }
    if matches!(init, Init::Kaiming(_)) && steps::slope(&init.to_string()).abs() > 1.0 {
        notes.push(
            "No leaky_relu is steeper than 1: such an a stands for a number. a = sqrt(5), torch's default for Linear and \
             Conv, makes the bound 1/sqrt(fan_in) and the variance 1/(3 fan_in): sums have a third of their inputs' mean square."
                .to_owned(),
        );
    }
    if let (Init::Kaiming(_), true) = (init, fans.fan_in != fans.fan_out) {
        notes.push("The two fans differ: mode=fan_in keeps the forward variance, mode=fan_out the backward one, neither both.".to_owned());
    }
    notes
}
