//! Describes how the standard deviation of a plan is computed, with one line of text for each step. The arguments of
//! the scheme are read from the text of the spec.

use fanin::init::Init;
use fanin::{Distribution, Plan};

use fanin_recipe::text::short;

/// Returns the initializer with the argument `name=value` added to its spec. Returns `None` if the new spec is not
/// valid, for example because the scheme has no argument of that name.
pub fn with_argument(init: &Init, name: &str, value: &dyn std::fmt::Display) -> Option<Init> {
    let spec = init.to_string();
    let spec = match spec.strip_suffix(')') {
        Some(open) => format!("{open}, {name}={value})"),
        None => format!("{spec}({name}={value})"),
    };
    Init::parse(&spec).ok()
}

/// Returns the value of the argument `name` in a spec, or `None` if the spec does not have the argument. The spec must
/// be in the format that `Init` displays.
pub fn argument(spec: &str, name: &str) -> Option<String> {
    let inside = spec.split_once('(')?.1.strip_suffix(')')?;
    inside.split(", ").find_map(|argument| {
        let (key, value) = argument.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// Returns the argument `a` of a Kaiming spec (the slope of leaky_relu), or 0 if the spec does not have it.
pub fn slope(spec: &str) -> f64 {
    argument(spec, "a").and_then(|a| a.parse().ok()).unwrap_or(0.0)
}

/// Returns the steps that compute the bound and the standard deviation of `plan`. Each step is a line of text, such as
/// `std = 1 / sqrt(64) = 0.125, with fan_in = 64`. The steps start from the arguments of `init`.
pub fn of(init: &Init, plan: &Plan) -> Vec<String> {
    let spec = init.to_string();
    let scheme = init.scheme().name;
    let uniform = matches!(plan.distribution(), Distribution::Uniform { .. });
    let (low, high) = plan.bounds();
    let mut steps = Vec::new();
    match (init, plan.fans()) {
        (Init::Kaiming(kaiming), Some(fans)) => {
            let gain = kaiming.gain_value();
            let mode = argument(&spec, "mode").unwrap_or_else(|| "fan_in".to_owned());
            let fan = if mode == "fan_out" { fans.fan_out } else { fans.fan_in };
            steps.push(match argument(&spec, "nonlinearity") {
                Some(name) => format!("gain of {name} = {}", short(gain)),
                None => {
                    let slope = argument(&spec, "a").unwrap_or_else(|| "0".to_owned());
                    format!("gain = sqrt(2 / (1 + a^2)) = sqrt(2 / (1 + {slope}^2)) = {}", short(gain))
                }
            });
            steps.push(if uniform {
                format!("bound = {} * sqrt(3 / {fan}) = {}, with {mode} = {fan}", short(gain), short(high))
            } else {
                format!("std = {} / sqrt({fan}) = {}, with {mode} = {fan}", short(gain), short(plan.std()))
            });
        }
        (Init::Xavier(xavier), Some(fans)) => {
            let (gain, fans) = (short(xavier.gain_value()), format!("({} + {})", fans.fan_in, fans.fan_out));
            steps.push(if uniform {
                format!("a = {gain} * sqrt(6 / {fans}) = {}", short(high))
            } else {
                format!("std = {gain} * sqrt(2 / {fans}) = {}", short(plan.std()))
            });
        }
        (Init::Orthogonal(orthogonal), _) => {
            let rows = plan.shape()[0];
            let columns: usize = plan.shape()[1..].iter().product();
            steps.push(format!(
                "as a matrix of {rows} x {columns}, an entry has std = gain / sqrt(max(rows, columns)) = {} / sqrt({}) = {}",
                short(orthogonal.gain_value()),
                rows.max(columns),
                short(plan.std())
            ));
        }
        _ => {}
    }
    match plan.distribution() {
        Distribution::Uniform { .. } => steps.push(format!(
            "std = (b - a) / sqrt(12) = {} / sqrt(12) = {}",
            short(high - low),
            short(plan.std())
        )),
        Distribution::TruncatedNormal { std, .. } => steps.push(format!(
            "std after truncation = {} * {} = {}",
            short(plan.std() / std),
            short(std),
            short(plan.std())
        )),
        Distribution::Sparse { zeros, std } => steps.push(format!(
            "{zeros} zeros in a column of {}: std = {} * sqrt(1 - {zeros}/{}) = {}",
            plan.shape()[0],
            short(std),
            plan.shape()[0],
            short(plan.std())
        )),
        _ => {}
    }
    if steps.is_empty() && scheme != "normal" {
        steps.push(crate::describe::text(plan));
    }
    steps
}

/// Returns the gain of an initializer, or `None` if its scheme has no gain.
pub fn gain(init: &Init) -> Option<f64> {
    match init {
        Init::Kaiming(kaiming) => Some(kaiming.gain_value()),
        Init::Xavier(xavier) => Some(xavier.gain_value()),
        Init::Orthogonal(orthogonal) => Some(orthogonal.gain_value()),
        _ => None,
    }
}

/// Returns the publication that defines the scheme, and the number of the equation if it is known.
pub fn source(init: &Init) -> String {
    match (init.scheme().source, equation(init)) {
        (source, Some(equation)) => format!("{source}; {equation}"),
        (source, None) => source.to_owned(),
    }
}

/// Returns the equation that defines the scheme in its paper, such as "equation 16".
fn equation(init: &Init) -> Option<&'static str> {
    let spec = init.to_string();
    let mode = argument(&spec, "mode");
    // The papers derive the equations only for nonlinearities that are linear on both sides of 0.
    let derived = argument(&spec, "nonlinearity")
        .is_none_or(|name| ["relu", "leaky_relu", "linear"].iter().any(|linear| name.starts_with(linear)));
    if !derived {
        return None;
    }
    match (init.scheme().name, mode.as_deref()) {
        ("kaiming_normal" | "kaiming_uniform", Some("fan_out")) => {
            Some("equation 14 (backward); with a slope, equation 15")
        }
        ("kaiming_normal" | "kaiming_uniform", _) => Some("equation 10 (forward); with a slope, equation 15"),
        ("xavier_uniform", _) => Some("equation 16"),
        ("xavier_normal", _) => Some("equation 12"),
        _ => None,
    }
}
