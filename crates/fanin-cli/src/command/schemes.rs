//! `fanin schemes`, which lists the schemes that a spec can name, and the scaling factors that a spec can call.

use fanin::scaling::{ScalingFactor, scaling_factors};
use fanin::spec::{Scheme, schemes};
use serde_json::{Value, json};

use crate::args::Schemes;
use crate::error::{Error, Result};
use crate::terminal::output;

pub(super) fn run(args: &Schemes) -> Result {
    let (schemes, factors) = selected(args.name.as_deref())?;
    if args.json {
        let schemes: Vec<Value> = schemes.iter().map(|scheme| scheme_json(scheme)).collect();
        let factors: Vec<Value> = factors.iter().map(factor_json).collect();
        return output::json(&json!({ "schemes": schemes, "scaling_factors": factors }));
    }
    for scheme in &schemes {
        let synonyms: Vec<&str> = scheme.synonyms().collect();
        let synonyms = synonyms.join(", ");
        print(&scheme.signature(), &[("", scheme.formula), ("also ", &synonyms), ("", scheme.source)])?;
    }
    if args.name.is_none() {
        output::line(
            "Scaling factors, which the numbers of a spec can call: normal(std=0.02*depth_scaled(layer))\n",
        )?;
    }
    for factor in factors {
        print(&call(&factor), &[("", factor.formula), ("", factor.source)])?;
    }
    Ok(())
}

/// Returns the scheme and the scaling factor that are named `name`. If `name` is `None`, returns all schemes and all
/// scaling factors.
fn selected(name: Option<&str>) -> Result<(Vec<&'static Scheme>, Vec<ScalingFactor>)> {
    let Some(name) = name else { return Ok((schemes().iter().collect(), scaling_factors().to_vec())) };
    let scheme: Vec<_> = Scheme::find(name).into_iter().collect();
    let factors: Vec<_> = scaling_factors().iter().copied().filter(|factor| factor.name == name).collect();
    if scheme.is_empty() && factors.is_empty() {
        let known = schemes().iter().map(|scheme| scheme.name);
        let known = known.chain(scaling_factors().iter().map(|factor| factor.name));
        let help = match fanin::nearest(name, known) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "`fanin schemes` lists all of them".to_owned(),
        };
        return Err(Error::Request(format!("unknown scheme {name:?}: {help}")));
    }
    Ok((scheme, factors))
}

/// Prints a heading, and indented lines below it. Each line is a prefix and a text. Lines with an empty text are not
/// printed.
fn print(heading: &str, lines: &[(&str, &str)]) -> Result {
    output::line(format_args!("\u{1b}[1m{heading}\u{1b}[0m"))?;
    for (prefix, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        output::line(format_args!("    {prefix}{text}"))?;
    }
    output::line("")
}

/// Returns the signature of a scaling factor: its name, and its parameters in parentheses.
fn call(factor: &ScalingFactor) -> String {
    format!("{}({})", factor.name, factor.parameters.join(", "))
}

fn scheme_json(scheme: &Scheme) -> Value {
    let parameters: Vec<Value> =
        scheme.parameters.iter().map(|(name, default)| json!({ "name": name, "default": default })).collect();
    json!({
        "name": scheme.name, "signature": scheme.signature(), "parameters": parameters, "formula": scheme.formula,
        "source": scheme.source, "synonyms": scheme.synonyms().collect::<Vec<_>>(),
    })
}

fn factor_json(factor: &ScalingFactor) -> Value {
    json!({
        "name": factor.name, "signature": call(factor), "parameters": factor.parameters, "formula": factor.formula,
        "source": factor.source,
    })
}
