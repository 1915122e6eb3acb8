//! An explanation as JSON.

use fanin::init::Init;
use serde_json::{Value, json};

use super::activation::Activation;
use super::signal::After;
use super::wiring::Wiring;
use super::{Explanation, steps};
use crate::describe;

/// The gain of an initializer that has one.
pub fn gain(init: &Init) -> Option<f64> {
    match init {
        Init::Kaiming(it) => Some(it.gain_value()),
        Init::Xavier(it) => Some(it.gain_value()),
        Init::Orthogonal(it) => Some(it.gain_value()),
        _ => None,
    }
}

/// Where the formula comes from, with its equation.
pub fn source(init: &Init) -> String {
    match (init.scheme().source, steps::equation(init)) {
        (source, Some(equation)) => format!("{source}; {equation}"),
        (source, None) => source.to_owned(),
    }
}

/// The explanation as JSON.
pub fn to_json(explanation: &Explanation) -> Value {
    let Explanation { init, plan, wiring, counted, activation, signal, notes, .. } = explanation;
    let (low, high) = plan.bounds();
    let finite = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
    let family = init.scheme();
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
        "gain": gain(init), "distribution": describe::text(plan), "mean": plan.mean(), "std": plan.std(),
        "low": finite(low), "high": finite(high),
        "formula": family.formula, "steps": steps::of(init, plan), "source": source(init),
        "nonlinearity": activation.to_string(), "signal": signal.as_ref().map(|signal| signal.iter().map(after).collect::<Vec<_>>()),
        "suited": wiring.as_ref().map(|wiring| Activation::COMMON.map(|activation| suited(wiring, activation))), "notes": notes,
        "warnings": plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
