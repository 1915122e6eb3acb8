//! Recipes: which parameter gets which spec.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fanin::init::{Init, Variables};
use fanin::{Fans, Initializer as _, Law, Layout, Plan};
use globset::{Glob, GlobMatcher};

use crate::error::{Error, Result, did_you_mean};
use crate::manifest::{Entry, Manifest};
use crate::report::numbers::counted;

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

/// A recipe's variables, with the fans of one parameter among them.
struct Scope<'a> {
    variables: &'a BTreeMap<String, f64>,
    fans: Option<Fans>,
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        match (name, self.fans) {
            ("fan_in", Some(fans)) => Some(fans.fan_in as f64),
            ("fan_out", Some(fans)) => Some(fans.fan_out as f64),
            _ => self.variables.get(name).copied(),
        }
    }

    fn names(&self) -> Vec<&str> {
        let fans = if self.fans.is_some() { &["fan_in", "fan_out"][..] } else { &[] };
        self.variables.keys().map(String::as_str).chain(fans.iter().copied()).collect()
    }
}

impl Recipe {
    /// Reads a recipe. `path` is for messages.
    ///
    /// # Errors
    /// TOML that does not parse, with line and column; tables or values that have no meaning here.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Error::file(path, error.to_string().trim_end().to_owned()))?;
        let mut variables = BTreeMap::new();
        let mut rules = Vec::new();
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("vars", toml::Value::Table(vars)) => {
                    for (name, value) in vars {
                        let number = match value {
                            toml::Value::Integer(number) => *number as f64,
                            toml::Value::Float(number) => *number,
                            other => {
                                let line = line_of(text, name);
                                let message =
                                    format!("line {line}: the variable {name} = {other} is not a number");
                                return Err(Error::file(path, message));
                            }
                        };
                        if ["fan_in", "fan_out"].contains(&name.as_str()) {
                            let message =
                                format!("the variable {name} is each parameter's own and cannot be set");
                            return Err(Error::file(path, message));
                        }
                        variables.insert(name.clone(), number);
                    }
                }
                ("init", toml::Value::Table(init)) => {
                    for (pattern, value) in init {
                        let line = line_of(text, pattern);
                        let toml::Value::String(spec) = value else {
                            let example = match value {
                                toml::Value::Table(_) => "a name with dots must stand in quotes",
                                _ => "write it as \"normal(std=0.02)\"",
                            };
                            let message = format!("line {line}: the rule {pattern:?} has no spec: {example}");
                            return Err(Error::file(path, message));
                        };
                        let matcher = Glob::new(pattern)
                            .map_err(|error| Error::file(path, format!("line {line}: {error}")))?
                            .compile_matcher();
                        rules.push(Rule { pattern: pattern.clone(), spec: spec.clone(), line, matcher });
                    }
                }
                _ => {
                    let hint = did_you_mean(key, ["vars", "init"]);
                    let message = format!("line {}: {key:?} has no meaning here{hint}", line_of(text, key));
                    return Err(Error::file(path, format!("{message}; a recipe has [vars] and [init]")));
                }
            }
        }
        if rules.is_empty() {
            return Err(Error::file(path, "there are no rules: write them under [init]"));
        }
        Ok(Self { path: path.to_owned(), text: text.to_owned(), variables, rules })
    }

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
        let mut used = vec![false; self.rules.len()];
        let mut shadowed_by: Vec<Option<usize>> = vec![None; self.rules.len()];
        let mut unmatched = Vec::new();
        let mut planned = Vec::new();
        for entry in &manifest.entries {
            let mut winner = None;
            for (number, rule) in self.rules.iter().enumerate() {
                if !rule.matcher.is_match(&entry.name) {
                    continue;
                }
                match winner {
                    None => winner = Some(number),
                    Some(first) => shadowed_by[number] = shadowed_by[number].or(Some(first)),
                }
            }
            match winner {
                None => unmatched.push(entry.name.as_str()),
                Some(number) => {
                    used[number] = true;
                    planned.push(self.plan(entry, &self.rules[number], &variables)?);
                }
            }
        }
        if !unmatched.is_empty() {
            let message = format!(
                "no rule matches {}:\n  {}\nadd rules for them, or \"*\" = \"...\" as the last one",
                counted(unmatched.len() as u64, "parameter"),
                unmatched.join("\n  ")
            );
            return Err(Error::file(&self.path, message));
        }
        let idle: Vec<String> = (0..self.rules.len())
            .filter(|&number| !used[number])
            .map(|number| {
                let rule = &self.rules[number];
                let why = match shadowed_by[number] {
                    None => String::new(),
                    Some(first) => {
                        format!(" (all it matches is taken by {:?} before it)", self.rules[first].pattern)
                    }
                };
                format!("line {}: {:?} = {:?}{why}", rule.line, rule.pattern, rule.spec)
            })
            .collect();
        if !idle.is_empty() {
            let message = format!(
                "{} nothing in this model:\n  {}\na pattern that never matches initializes nothing: mend or remove it",
                if idle.len() == 1 { "a rule matches" } else { "some rules match" },
                idle.join("\n  ")
            );
            return Err(Error::file(&self.path, message));
        }
        Ok(planned)
    }

    fn plan(&self, entry: &Entry, rule: &Rule, variables: &BTreeMap<String, f64>) -> Result<Planned> {
        let name =
            || format!("{}: line {}: {:?} for {}", self.path.display(), rule.line, rule.pattern, entry.name);
        let wrong = |source| Error::Tensor { tensor: name(), source };
        let scope = Scope { variables, fans: Layout::OutIn.fans(&entry.shape).ok() };
        let init = Init::parse_with(&rule.spec, &scope).map_err(|error| {
            let asks_fans = scope.fans.is_none() && ["fan_in", "fan_out"].iter().any(|fan| rule.spec.contains(fan));
            match asks_fans {
                true => Error::Request(format!(
                    "{}: {:?} asks for fans, and a tensor of shape {:?} has none: a bias takes its bound from the \
                     weight's fan_in, so write the number or a variable",
                    name(),
                    rule.spec,
                    entry.shape
                )),
                false => wrong(error),
            }
        })?;
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

/// The line on which a key stands, quoted or bare, or which opens the table of that name; 1 if there is none.
fn line_of(text: &str, key: &str) -> usize {
    let spellings = [format!("\"{key}\""), format!("'{key}'"), key.to_owned()];
    let stands = |line: &str| {
        let line = line.trim();
        let assigns = |spelling: &String| {
            line.strip_prefix(spelling.as_str()).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        line == format!("[{key}]") || spellings.iter().any(assigns)
    };
    text.lines().position(stands).map_or(1, |line| line + 1)
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
    fn what_is_wrong_is_named_with_its_line() {
        for (text, settings, needles) in [
            (
                "[init]\n\"*.bias\" = \"zeros\"",
                &[][..],
                &["no rule matches 2 parameters", "h.0.fc.weight", "steps"][..],
            ),
            (
                "[init]\n\"*\" = \"zeros\"\n\"*.wight\" = \"ones\"",
                &[],
                &["line 3", "*.wight", "matches nothing"],
            ),
            ("[init]\n\"*\" = \"zeros\"\n\"*.bias\" = \"ones\"", &[], &["taken by \"*\" before it"]),
            ("[init]\n\"*\" = \"zeroes\"", &[], &["line 2", "did you mean zeros?", "^"]),
            (
                "[init]\n\"*.weight\" = \"normal(std=-1)\"\n\"*\" = \"zeros\"",
                &[],
                &["h.0.fc.weight", "std = -1"],
            ),
            ("[init]\n\"*\" = \"normal(std=1/fan_in)\"", &[], &["asks for fans", "h.0.fc.bias"]),
            ("[init]\nsteps = \"normal\"\n\"*\" = \"zeros\"", &[], &["cannot be written as I64"]),
            ("[init]\nsteps = \"constant(0.5)\"\n\"*\" = \"zeros\"", &[], &["cannot be written as I64"]),
            ("[init]\n\"*\" = \"zeros\"", &[("n_layers", 3.0)], &["no variable \"n_layers\""]),
            (
                "[vars]\nn_layer = 1\n[init]\n\"*\" = \"zeros\"",
                &[("n_layers", 3.0)],
                &["did you mean n_layer?"],
            ),
            ("[vars]\nn = \"x\"\n[init]\n\"*\" = \"zeros\"", &[], &["line 2", "not a number"]),
            ("[vars]\nfan_in = 2\n[init]\n\"*\" = \"zeros\"", &[], &["fan_in is each parameter's own"]),
            ("[int]\n\"*\" = \"zeros\"", &[], &["line 1", "did you mean init?"]),
            ("[init]\n\"*\" = 3", &[], &["line 2", "has no spec"]),
            ("[init]\nh.0.bias = \"zeros\"", &[], &["must stand in quotes"]),
            ("[init]\n\"[\" = \"zeros\"", &[], &["line 2"]),
            ("[init\n", &[], &["line 1"]),
            ("", &[], &["no rules"]),
            ("[init]\n\"*\" = \"zeros\"\n\"*\" = \"ones\"", &[], &["duplicate key"]),
        ] {
            let error = apply(text, settings).unwrap_err().to_string();
            for needle in needles {
                assert!(error.contains(needle), "{text}: {error}");
            }
            assert!(error.starts_with("r.toml"), "{error}");
        }
    }
}
