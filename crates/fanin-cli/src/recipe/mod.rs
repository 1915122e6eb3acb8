//! Recipes: which parameter gets which spec.

mod parse;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fanin::init::Init;
use fanin::{Initializer as _, Law, Plan};
use globset::GlobMatcher;

use crate::error::{Error, Result, did_you_mean};
use crate::manifest::{Entry, Manifest};
use crate::report::numbers::counted;
use scope::Scope;

/// A parsed recipe: variables, and rules of which the first that matches wins.
#[derive(Debug, Clone)]
pub struct Recipe {
    path: PathBuf,
    text: String,
    variables: BTreeMap<String, f64>,
    rules: Vec<Rule>,
}

/// A pattern on names and the spec of those that match.
#[derive(Debug, Clone)]
struct Rule {
    pattern: String,
    spec: String,
    line: usize,
    matcher: GlobMatcher,
}

/// What a tensor of a manifest will be.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The tensor.
    pub entry: Entry,
    /// The pattern that matched it.
    pub pattern: String,
    /// The initializer.
    pub init: Init,
    /// Its plan; for integer tensors there is none, and `integer` says what they hold.
    pub plan: Option<Plan>,
    /// The value of an integer tensor.
    pub integer: Option<i128>,
}

impl Planned {
    /// The mean that its values have.
    pub fn mean(&self) -> f64 {
        self.plan.as_ref().map_or(self.integer.unwrap_or_default() as f64, Plan::mean)
    }

    /// The standard deviation that its values have.
    pub fn std(&self) -> f64 {
        self.plan.as_ref().map_or(0.0, Plan::std)
    }
}

impl Recipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// As [`Recipe::parse`], and if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(path).map_err(Error::io("read", path))?, path)
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Plans every tensor of a manifest, with these variables set.
    ///
    /// # Errors
    /// A variable that the recipe does not have; parameters that no rule matches, all of them; rules that match
    /// nothing, all of them, and which rules stand before them; a spec that does not parse or does not fit its tensor.
    pub fn apply(&self, manifest: &Manifest, settings: &[(String, f64)]) -> Result<Vec<Planned>> {
        let mut variables = self.variables.clone();
        for (name, value) in settings {
            if variables.insert(name.clone(), *value).is_none() {
                let known: Vec<&str> = self.variables.keys().map(String::as_str).collect();
                let hint = did_you_mean(name, known.iter().copied());
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message =
                    format!("there is no variable {name:?} to set{hint} (the variables are: {known})");
                return Err(Error::file(&self.path, message));
            }
        }
        // Of each parameter the rules that match it, the winner first.
        let matching = |entry: &Entry| -> Vec<usize> {
            (0..self.rules.len()).filter(|&number| self.rules[number].matcher.is_match(&entry.name)).collect()
        };
        let matches: Vec<Vec<usize>> = manifest.entries.iter().map(matching).collect();
        self.check_matches(manifest, &matches)?;
        let winners = matches.iter().map(|rules| &self.rules[rules[0]]);
        let plan = |(entry, rule)| self.plan(entry, rule, &variables, manifest);
        manifest.entries.iter().zip(winners).map(plan).collect()
    }

    /// `Err` if a parameter has no rule, or a rule no parameter: often the two are one slip of the pen, so both are told.
    fn check_matches(&self, manifest: &Manifest, matches: &[Vec<usize>]) -> Result {
        let unmatched: Vec<&str> = manifest
            .entries
            .iter()
            .zip(matches)
            .filter(|(_, rules)| rules.is_empty())
            .map(|(entry, _)| entry.name.as_str())
            .collect();
        let idle: Vec<String> = (0..self.rules.len())
            .filter(|&number| matches.iter().all(|rules| rules.first() != Some(&number)))
            .map(|number| {
                let taken = matches.iter().filter(|rules| rules.contains(&number)).map(|rules| rules[0]);
                let takers: BTreeSet<usize> = taken.collect();
                let takers: Vec<_> =
                    takers.iter().map(|&taker| format!("{:?}", self.rules[taker].pattern)).collect();
                let why = match takers.as_slice() {
                    [] => String::new(),
                    _ => format!(" (all it matches is taken by {} before it)", takers.join(" and ")),
                };
                let rule = &self.rules[number];
                format!("line {}: {:?} = {:?}{why}", rule.line, rule.pattern, rule.spec)
            })
            .collect();
        let mut complaints = Vec::new();
        if !unmatched.is_empty() {
            complaints.push(format!(
                "no rule matches {}:\n  {}\nadd rules for them, or \"*\" = \"...\" as the last one",
                counted(unmatched.len() as u64, "parameter"),
                unmatched.join("\n  ")
            ));
        }
        if !idle.is_empty() {
            complaints.push(format!(
                "{} nothing in this model:\n  {}\na pattern that never matches initializes nothing: mend or remove it",
                if idle.len() == 1 { "a rule matches" } else { "some rules match" },
                idle.join("\n  ")
            ));
        }
        if complaints.is_empty() { Ok(()) } else { Err(Error::file(&self.path, complaints.join("\n"))) }
    }

    fn plan(
        &self,
        entry: &Entry,
        rule: &Rule,
        variables: &BTreeMap<String, f64>,
        manifest: &Manifest,
    ) -> Result<Planned> {
        let name = || format!("{}:{}: {:?} for {}", self.path.display(), rule.line, rule.pattern, entry.name);
        let wrong = |source| Error::Tensor { tensor: name(), source };
        let init = Scope::new(variables, entry, manifest).read(&rule.spec).map_err(wrong)?;
        let (mut plan, mut integer) = (None, None);
        match (entry.dtype.float(), entry.dtype.integers()) {
            (Some(dtype), _) => plan = Some(init.resolve(&entry.shape, dtype).map_err(wrong)?),
            (None, Some((least, greatest))) => {
                let law = init.resolve(&entry.shape, fanin::DType::F64).map_err(wrong)?.law();
                let value = match law {
                    Law::Constant { value } if value.fract() == 0.0 => Some(value as i128),
                    _ => None,
                };
                integer = Some(value.filter(|value| (least..=greatest).contains(value)).ok_or_else(|| {
                    let dtype = entry.dtype;
                    Error::Request(format!(
                        "{}: {init} cannot be written as {dtype}: an integer tensor takes zeros, ones or a constant \
                         from {least} to {greatest}",
                        name()
                    ))
                })?);
            }
            (None, None) => unreachable!("a stored type is a float or an integer"),
        }
        Ok(Planned { entry: entry.clone(), pattern: rule.pattern.clone(), init, plan, integer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let json = r#"{"h.0.fc.weight": {"dtype": "F32", "shape": [8, 4]}, "h.0.fc.bias": {"dtype": "BF16", "shape": [8]},
                       "steps": {"dtype": "I64", "shape": []}}"#;
        Manifest::from_json(json, Path::new("m.json")).unwrap()
    }

    fn apply(text: &str, settings: &[(&str, f64)]) -> Result<Vec<Planned>> {
        let settings: Vec<(String, f64)> =
            settings.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Recipe::parse(text, Path::new("r.toml"))?.apply(&manifest(), &settings)
    }

    #[test]
    fn the_first_match_wins_and_variables_are_numbers() {
        let text = "[vars]\nn = 4\n[init]\n\"*.bias\" = \"zeros\"\n\"h.*\" = \"normal(std=0.5/sqrt(n*fan_in))\"\n\"*\" = \"zeros\"";
        let planned = apply(text, &[]).unwrap();
        assert_eq!(planned[0].plan.as_ref().unwrap().law(), Law::Normal { mean: 0.0, std: 0.125 });
        assert_eq!(planned[1].pattern, "*.bias");
        assert_eq!(planned[2].integer, Some(0));
        let planned = apply(text, &[("n", 1.0)]).unwrap();
        assert_eq!(planned[0].plan.as_ref().unwrap().std(), 0.25);
    }

    #[test]
    fn a_bias_sees_its_weight_and_a_name_its_layer() {
        let text = "[init]\n\"*.bias\" = \"linear_default_bias(weight_fan_in)\"\n\"h.*\" = \"normal(std=depth_scaled(layer))\"\n\"*\" = \"zeros\"";
        let planned = apply(text, &[]).unwrap();
        assert_eq!(planned[0].init.to_string(), format!("normal(std={})", 1.0 / 2f64.sqrt()));
        assert_eq!(planned[1].init.to_string(), "linear_default_bias(fan_in=4)");
        let error = apply("[init]\n\"*\" = \"normal(std=1/(layer+1))\"", &[]).unwrap_err().to_string();
        assert!(error.contains("steps") && error.contains("there is no layer"), "{error}");
        let error = apply("[init]\n\"*\" = \"normal(std=weight_fan_out)\"", &[]).unwrap_err().to_string();
        assert!(error.contains("there is no weight_fan_out"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let zeros = "\"*\" = \"zeros\"";
        for (text, settings, needles) in [
            (
                "[init]\n\"*.bias\" = \"zeros\"".to_owned(),
                &[][..],
                &["no rule matches 2 parameters", "h.0.fc.weight", "steps"][..],
            ),
            (
                format!("[init]\n{zeros}\n\"*.wight\" = \"ones\""),
                &[],
                &["line 3", "*.wight", "matches nothing"],
            ),
            (format!("[init]\n{zeros}\n\"*.bias\" = \"ones\""), &[], &["taken by \"*\" before it"]),
            (
                format!("[init]\n\"*.bias\" = \"ones\"\n\"h.*\" = \"ones\"\n\"h.0.*\" = \"ones\"\n{zeros}"),
                &[],
                &["line 4", "taken by \"*.bias\" and \"h.*\" before it"],
            ),
            (
                "[init]\n\"*.wight\" = \"ones\"\n\"*.bias\" = \"zeros\"\nsteps = \"zeros\"".to_owned(),
                &[],
                &["no rule matches 1 parameter:\n  h.0.fc.weight", "line 2: \"*.wight\""],
            ),
            ("[init]\n\"*\" = \"zeroes\"".to_owned(), &[], &["r.toml:2: ", "did you mean zeros?", "^"]),
            (
                format!("[init]\n\"*.weight\" = \"normal(std=-1)\"\n{zeros}"),
                &[],
                &["r.toml:2: ", "h.0.fc.weight", "std = -1"],
            ),
            ("[init]\n\"*\" = \"normal(std=1/fan_in)\"".to_owned(), &[], &["no fan_in", "h.0.fc.bias", "^"]),
            (format!("[init]\nsteps = \"normal\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\nsteps = \"constant(0.5)\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\nsteps = \"constant(2^63)\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\n{zeros}"), &[("n_layers", 3.0)], &["no variable \"n_layers\""]),
            (
                format!("[vars]\nn_layer = 1\n[init]\n{zeros}"),
                &[("n_layers", 3.0)],
                &["did you mean n_layer?"],
            ),
        ] {
            let error = apply(&text, settings).unwrap_err().to_string();
            for needle in needles {
                assert!(error.contains(needle), "{text}: {error}");
            }
            assert!(error.starts_with("r.toml:"), "{error}");
        }
    }
}
