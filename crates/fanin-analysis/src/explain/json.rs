//! Renders an explanation as JSON.

use fanin::Nonlinearity;
use serde_json::{Value, json};

use super::explanation::Explanation;
use super::layer::LayerShape;
use super::moments::{backward, forward};
use super::nonlinearity::COMMON;
use super::recommend::recommend;
use super::stack::MeanSquares;
use super::steps;
use crate::describe;

/// Returns the explanation as the JSON object that `fanin explain --json` prints.
pub fn to_json(explanation: &Explanation) -> Value {
    let Explanation { init, plan, layer, formula_fans, nonlinearity, signal, notes, .. } = explanation;
    let (low, high) = plan.bounds();
    let finite = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
    let scheme = init.scheme();
    let mean_squares = |after: &MeanSquares| json!({ "layers": after.layers, "forward": after.forward, "backward": after.backward });
    let suited = |layer: &LayerShape, f: Nonlinearity| {
        let recommendation = recommend(f, layer);
        json!({
            "nonlinearity": f.to_string(), "spec": recommendation.spec, "why": recommendation.reason,
            "mean_square": forward(f, 1.0), "slope_mean_square": backward(f, 1.0),
        })
    };
    json!({
        "spec": init.to_string(), "scheme": scheme.name, "shape": plan.shape(), "dtype": plan.dtype().name(),
        "values": plan.len(),
        "layout": layer.as_ref().map(|layer| layer.layout.to_string()),
        "groups": layer.as_ref().map(|layer| layer.groups),
        "fan_in": layer.as_ref().map(|layer| layer.fans().fan_in),
        "fan_out": layer.as_ref().map(|layer| layer.fans().fan_out),
        "formula_fan_in": formula_fans.map(|fans| fans.fan_in),
        "formula_fan_out": formula_fans.map(|fans| fans.fan_out),
        "gain": steps::gain(init), "distribution": describe::text(plan), "mean": plan.mean(), "std": plan.std(),
        "low": finite(low), "high": finite(high),
        "formula": scheme.formula, "steps": steps::of(init, plan), "source": steps::source(init),
        "nonlinearity": nonlinearity.to_string(),
        "signal": signal.as_ref().map(|signal| signal.iter().map(mean_squares).collect::<Vec<_>>()),
        "suited": layer.as_ref().map(|layer| COMMON.map(|nonlinearity| suited(layer, nonlinearity))),
        "notes": notes,
        "warnings": plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
