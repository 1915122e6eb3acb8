//! `fanin explain`, which shows the distribution of a spec for a shape, and the effect of the layer on a signal.

use fanin::init::Init;
use fanin::{DType, Distribution};

use crate::args::Explain;
use crate::error::Result;
use crate::terminal::{output, table};
use fanin_analysis::describe;
use fanin_analysis::explain::{
    Explanation, MeanSquares, Options, json, moments, nonlinearity, recommend, steps, verdict,
};
use fanin_recipe::text;

/// The numbers of layers for which `show` prints the mean square of the signal: the default of `--layers`.
const DEPTHS: [usize; 3] = [1, 10, 50];

pub(super) fn run(args: &Explain, quiet: bool) -> Result {
    let explanation = explanation(args)?;
    let warnings = explanation.plan.warnings().iter();
    output::warnings(warnings.map(|warning| (args.spec.as_str(), warning.to_string())), quiet);
    if args.json { output::json(&json::to_json(&explanation)) } else { print(&explanation) }
}

fn explanation(args: &Explain) -> Result<Explanation> {
    let mut depths: Vec<usize> = args.layers.iter().map(|&layers| layers as usize).collect();
    depths.sort_unstable();
    depths.dedup();
    let options = Options {
        init: Init::parse(&args.spec)?,
        shape: &args.shape.0,
        dtype: args.dtype,
        layout: args.layout,
        groups: args.groups,
        nonlinearity: args.nonlinearity.as_deref().map(nonlinearity::read).transpose()?,
        depths: &depths,
    };
    Ok(Explanation::new(&options)?)
}

/// Prints the explanation of an initializer for a shape. `fanin fill --dry-run` calls this function.
pub(super) fn show(init: &Init, shape: &[usize], dtype: DType) -> Result {
    let options = Options {
        init: init.clone(),
        shape,
        dtype,
        layout: None,
        groups: 1,
        nonlinearity: None,
        depths: &DEPTHS,
    };
    print(&Explanation::new(&options)?)
}

/// Prints an explanation.
fn print(explanation: &Explanation) -> Result {
    let Explanation { init, plan, layer, notes, .. } = explanation;
    let shape = plan.shape();
    let values = text::counted(plan.len() as u64, "value");
    let mut rows = table::new(&["", ""]);
    let mut row = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    row("spec", init.to_string());
    row("shape", format!("{} ({values} of {})", text::shape(shape), plan.dtype()));
    if let Some(layer) = layer {
        let fans = layer.fans();
        row("axes", layer.axes().into_owned());
        let line = |factors: String, fan: usize| format!("{factors} = {}", text::count(fan as u64));
        row("fan_in", line(layer.fan_factors(layer.inputs, "input"), fans.fan_in));
        row("fan_out", line(layer.fan_factors(layer.outputs, "output"), fans.fan_out));
    }
    row("formula", init.scheme().formula.to_owned());
    for (number, step) in steps::of(init, plan).into_iter().enumerate() {
        row(if number == 0 { "numbers" } else { "" }, step);
    }
    if let Some(gain) = steps::gain(init) {
        row("gain", gain.to_string());
    }
    row("distribution", describe::text(plan));
    row("mean", plan.mean().to_string());
    row("std", plan.std().to_string());
    let (low, high) = plan.bounds();
    if low.is_finite() || high.is_finite() {
        row("bounds", format!("{low} to {high}"));
    }
    if let Distribution::TruncatedNormal { mean, std, low, high, .. } = plan.distribution() {
        let sigmas = |bound: f64| text::short((bound - mean) / std);
        row(
            "truncated at",
            format!("{} and {} sigma; the std above is the std after truncation", sigmas(low), sigmas(high)),
        );
    }
    let source = steps::source(init);
    if !source.is_empty() {
        row("source", source);
    }
    output::line(table::text(&rows).trim_start_matches(['\n', ' ']))?;
    print_signal(explanation)?;
    for note in notes {
        output::line(format!("\n{note}"))?;
    }
    if explanation.signal.is_some() { print_other_nonlinearities(explanation) } else { Ok(()) }
}

/// Prints how the layer changes the mean square of a signal (forward) and of its gradient (backward). Then prints a
/// table of the mean squares after several such layers.
fn print_signal(explanation: &Explanation) -> Result {
    let (Some(signal), Some(layer), Some((forward, backward))) =
        (&explanation.signal, &explanation.layer, explanation.factors())
    else {
        return Ok(());
    };
    let (short, fans, std) = (text::short, layer.fans(), explanation.plan.std());
    let (square, f) = (short(std * std), explanation.nonlinearity);
    let default_note =
        if explanation.nonlinearity_is_given { "" } else { " (the default; --nonlinearity sets it)" };
    let sums = fans.fan_in as f64 * std * std;
    output::line(format!("\nEffect on a signal of mean square 1, with {f} after each layer{default_note}:"))?;
    output::line(format!(
        "  forward   sums    fan_in * std^2 = {} * {square} = {}\n            outputs E[f^2] of that = {}",
        fans.fan_in,
        short(sums),
        short(forward)
    ))?;
    output::line(format!(
        "  backward  gradient fan_out * std^2 * E[f'^2] = {} * {square} * {} = {}",
        fans.fan_out,
        short(moments::backward(f, sums)),
        short(backward)
    ))?;
    let mut rows = table::new(&[">layers", ">forward", "", ">backward", ""]);
    for MeanSquares { layers, forward, backward, last } in signal {
        rows.add_row([
            layers.to_string(),
            short(*forward),
            verdict(*forward, last.0).to_owned(),
            short(*backward),
            verdict(*backward, last.1).to_owned(),
        ]);
    }
    output::line(format!("\n{}", table::text(&rows)))
}

/// Prints a table of common nonlinearities, with a suitable spec for each.
fn print_other_nonlinearities(explanation: &Explanation) -> Result {
    let Some(layer) = &explanation.layer else { return Ok(()) };
    let mut rows = table::new(&["nonlinearity", ">E[f^2]", ">E[f'^2]", "suitable spec", "why"]);
    for f in nonlinearity::COMMON {
        let recommendation = recommend(f, layer);
        let [forward, backward] = [moments::forward(f, 1.0), moments::backward(f, 1.0)].map(text::short);
        rows.add_row([f.to_string(), forward, backward, recommendation.spec, recommendation.reason]);
    }
    output::line(format!("\nFor other nonlinearities (E over N(0, 1)):\n{}", table::text(&rows)))
}
