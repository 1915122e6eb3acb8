//! Recommends specs for layers that are followed by a nonlinearity, with the reasons.

use fanin::Nonlinearity;
use fanin::init::{Init, kaiming_normal, xavier_normal};
use fanin_recipe::text::short;

use super::layer::LayerShape;
use super::moments::{deviation_factor, forward};

/// A recommended spec, with the reason for the recommendation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// The spec.
    pub spec: String,
    /// The reason for the recommendation: a formula, a source, or both.
    pub reason: String,
}

/// Returns the recommended spec for a layer of this shape that is followed by the nonlinearity `f`.
pub fn recommend(f: Nonlinearity, layer: &LayerShape) -> Recommendation {
    let (layout, groups, fan_in) = (layer.layout, layer.groups, layer.fans().fan_in);
    let kaiming = |nonlinearity| {
        let scheme = kaiming_normal().nonlinearity(nonlinearity).layout(layout).groups(groups);
        Init::from(scheme).to_string()
    };
    // Returns the spec of a normal distribution with the variance `scale / fan_in`.
    let normal = |scale: f64| format!("normal(std={})", short((scale / fan_in.max(1) as f64).sqrt()));
    let (spec, reason) = match f.function() {
        Nonlinearity::Linear => (
            Init::from(xavier_normal().layout(layout).groups(groups)).to_string(),
            "between the two fans: Glorot, Bengio 2010, equation 12",
        ),
        Nonlinearity::Relu => (kaiming(Nonlinearity::Relu), "He et al. 2015, equation 10"),
        Nonlinearity::LeakyRelu { slope } => {
            (kaiming(Nonlinearity::LeakyRelu { slope }), "He et al. 2015, equation 15")
        }
        Nonlinearity::Sine { omega } => (
            normal(2.0 / (omega * omega)),
            "variance 2/(fan_in omega^2); siren has the same variance and is uniform: Sitzmann et al. 2020",
        ),
        Nonlinearity::Tanh => (
            kaiming(Nonlinearity::Linear),
            "variance 1/fan_in: the slope at 0 is 1, and this is the edge of chaos (Poole et al. 2016)",
        ),
        // Kumar 2017: variance * fan_in = 1 / (f'(0)^2 (1 + f(0)^2)). For the sigmoid, f(0) = 1/2 and f'(0) = 1/4.
        Nonlinearity::Sigmoid => (
            normal(16.0 / 1.25),
            "std 3.6/sqrt(fan_in): Kumar 2017, arXiv 1704.08863; no std keeps the gradient in a deep stack",
        ),
        Nonlinearity::Selu => (kaiming(Nonlinearity::Linear), "variance 1/fan_in: Klambauer et al. 2017"),
        other => {
            let reason = "variance 1/(fan_in E[f^2]) keeps a mean square of 1";
            let factor = deviation_factor(other);
            let reason = if factor > 1.0 {
                let factor = short(factor);
                format!("{reason}; each layer multiplies a deviation by {factor}: add norms or shortcuts")
            } else {
                format!("{reason}; a deviation decays")
            };
            return Recommendation { spec: normal(1.0 / forward(other, 1.0)), reason };
        }
    };
    Recommendation { spec, reason: reason.to_owned() }
}
