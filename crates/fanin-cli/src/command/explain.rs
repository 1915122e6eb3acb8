//! `fanin explain`: what a spec does to a shape, as a small textbook.

use fanin::init::Init;
use fanin::{DType, Law};
use serde_json::{Value, json};

use crate::args::Explain;
use crate::error::Result;
use crate::explain::activation::Activation;
use crate::explain::signal::{After, verdict};
use crate::explain::wiring::Wiring;
use crate::explain::{Lesson, Question, steps};
use crate::report::{self, law, numbers, table};

/// Layers that a signal is followed through where nobody says.
const DEPTHS: [usize; 3] = [1, 10, 50];

pub(super) fn run(args: &Explain, quiet: bool) -> Result {
    let lesson = lesson(args)?;
    let warnings = lesson.plan.warnings().iter();
    report::warnings(warnings.map(|warning| (args.spec.as_str(), warning.to_string())), quiet);
    if args.json { report::json(&as_json(&lesson)) } else { tell(&lesson) }
}

/// The answer for programs.
///
/// # Errors
/// What is wrong with the spec, or with what is asked about it.
pub fn answer(args: &Explain) -> Result<Value> {
    Ok(as_json(&lesson(args)?))
}

fn lesson(args: &Explain) -> Result<Lesson> {
    let mut depths: Vec<usize> = args.layers.iter().map(|&layers| layers as usize).collect();
    depths.sort_unstable();
    depths.dedup();
    Lesson::new(&Question {
        init: Init::parse(&args.spec)?,
        shape: &args.shape.0,
        dtype: args.dtype,
        layout: args.layout,
        groups: args.groups,
        activation: args.nonlinearity.as_deref().map(Activation::read).transpose()?,
        depths: &depths,
    })
}

/// Shows an initializer on a shape.
pub(super) fn show(init: &Init, shape: &[usize], dtype: DType) -> Result {
    let question = Question {
        init: init.clone(),
        shape,
        dtype,
        layout: None,
        groups: 1,
        activation: None,
        depths: &DEPTHS,
    };
    tell(&Lesson::new(&question)?)
}

fn gain(init: &Init) -> Option<f64> {
    match init {
        Init::Kaiming(it) => Some(it.gain_value()),
        Init::Xavier(it) => Some(it.gain_value()),
        Init::Orthogonal(it) => Some(it.gain_value()),
        _ => None,
    }
}

/// The name that stands for a paper in the text: where the formula comes from, with its equation.
fn source(init: &Init) -> String {
    match (init.family().source, steps::equation(init)) {
        (source, Some(equation)) => format!("{source}; {equation}"),
        (source, None) => source.to_owned(),
    }
}

fn as_json(lesson: &Lesson) -> Value {
    let Lesson { init, plan, wiring, counted, activation, signal, notes, .. } = lesson;
    let (low, high) = plan.bounds();
    let finite = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
    let family = init.family();
    let after = |after: &After| json!({ "layers": after.layers, "forward": after.forward, "backward": after.backward });
    let suited = |wiring: &Wiring, activation: Activation| {
        let (spec, why) = activation.suited(wiring);
        json!({
            "nonlinearity": activation.to_string(), "spec": spec, "why": why,
            "mean_square": activation.forward(1.0), "slope_mean_square": activation.backward(1.0),
        })
    };
    json!({
        "spec": init.to_string(), "scheme": family.name, "shape": plan.shape(), "dtype": plan.dtype().name(),
        "values": plan.len(),
        "layout": wiring.as_ref().map(|wiring| wiring.layout.to_string()),
        "groups": wiring.as_ref().map(|wiring| wiring.groups),
        "fan_in": wiring.as_ref().map(|wiring| wiring.fans().fan_in),
        "fan_out": wiring.as_ref().map(|wiring| wiring.fans().fan_out),
        "formula_fan_in": counted.map(|fans| fans.fan_in), "formula_fan_out": counted.map(|fans| fans.fan_out),
        "gain": gain(init), "law": law::text(plan), "mean": plan.mean(), "std": plan.std(),
        "low": finite(low), "high": finite(high),
        "formula": family.formula, "steps": steps::of(init, plan), "source": source(init),
        "nonlinearity": activation.to_string(), "signal": signal.as_ref().map(|signal| signal.iter().map(after).collect::<Vec<_>>()),
        "suited": wiring.as_ref().map(|wiring| Activation::COMMON.map(|activation| suited(wiring, activation))), "notes": notes,
        "warnings": plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn tell(lesson: &Lesson) -> Result {
    let Lesson { init, plan, wiring, notes, .. } = lesson;
    let shape = plan.shape();
    let values = numbers::counted(plan.len() as u64, "value");
    let mut rows = table::new(&["", ""]);
    let mut row = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    row("spec", init.to_string());
    row("shape", format!("{} ({values} of {})", numbers::shape(shape), plan.dtype()));
    if let Some(wiring) = wiring {
        let fans = wiring.fans();
        row("axes", wiring.axes().into_owned());
        let line = |told: String, fan: usize| format!("{told} = {}", numbers::count(fan as u64));
        row("fan_in", line(wiring.told(wiring.inputs, "input"), fans.fan_in));
        row("fan_out", line(wiring.told(wiring.outputs, "output"), fans.fan_out));
    }
    row("formula", init.family().formula.to_owned());
    for (number, step) in steps::of(init, plan).into_iter().enumerate() {
        row(if number == 0 { "numbers" } else { "" }, step);
    }
    if let Some(gain) = gain(init) {
        row("gain", gain.to_string());
    }
    row("law", law::text(plan));
    row("mean", plan.mean().to_string());
    row("std", plan.std().to_string());
    let (low, high) = plan.bounds();
    if low.is_finite() || high.is_finite() {
        row("bounds", format!("{low} to {high}"));
    }
    if let Law::TruncatedNormal { mean, std, low, high, .. } = plan.law() {
        let sigmas = |bound: f64| numbers::short((bound - mean) / std);
        row(
            "cut at",
            format!("{} and {} sigma; the std above is that of what is left", sigmas(low), sigmas(high)),
        );
    }
    let source = source(init);
    if !source.is_empty() {
        row("source", source);
    }
    report::line(table::text(&rows).trim_start_matches(['\n', ' ']))?;
    signal(lesson)?;
    for note in notes {
        report::line(format!("\n{note}"))?;
    }
    if lesson.signal.is_some() { others(lesson) } else { Ok(()) }
}

/// What the layer, and many like it, do to a signal and to its gradient.
fn signal(lesson: &Lesson) -> Result {
    let (Some(all), Some(wiring), Some((forward, backward))) =
        (&lesson.signal, &lesson.wiring, lesson.factors())
    else {
        return Ok(());
    };
    let (short, fans, std) = (numbers::short, wiring.fans(), lesson.plan.std());
    let (square, f) = (short(std * std), lesson.activation);
    let whose = if lesson.named { "" } else { " (nothing said: --nonlinearity)" };
    let sums = fans.fan_in as f64 * std * std;
    report::line(format!("\nWhat it does to a signal of mean square 1, with {f} after each layer{whose}:"))?;
    report::line(format!(
        "  forward   sums    fan_in * std^2 = {} * {square} = {}\n            outputs E[f^2] of that = {}",
        fans.fan_in,
        short(sums),
        short(forward)
    ))?;
    report::line(format!(
        "  backward  gradient fan_out * std^2 * E[f'^2] = {} * {square} * {} = {}",
        fans.fan_out,
        short(f.backward(sums)),
        short(backward)
    ))?;
    let mut rows = table::new(&[">layers", ">forward", "", ">backward", ""]);
    for After { layers, forward, backward, last } in all {
        rows.add_row([
            layers.to_string(),
            short(*forward),
            verdict(*forward, last.0).to_owned(),
            short(*backward),
            verdict(*backward, last.1).to_owned(),
        ]);
    }
    report::line(format!("\n{}", table::text(&rows)))
}

/// What would suit other nonlinearities.
fn others(lesson: &Lesson) -> Result {
    let Some(wiring) = &lesson.wiring else { return Ok(()) };
    let mut rows = table::new(&["nonlinearity", ">E[f^2]", ">E[f'^2]", "a spec that suits it", "why"]);
    for activation in Activation::COMMON {
        let (spec, why) = activation.suited(wiring);
        let [forward, backward] = [activation.forward(1.0), activation.backward(1.0)].map(numbers::short);
        rows.add_row([activation.to_string(), forward, backward, spec, why]);
    }
    report::line(format!("\nFor other nonlinearities (E over N(0, 1)):\n{}", table::text(&rows)))
}
