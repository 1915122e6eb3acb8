//! A recipe held against the tensors of a model.

use std::collections::{BTreeSet, HashMap, HashSet};

use fanin::{DType, Distribution, Initializer as _};

use super::matching::Matching;
use super::scope::{Scope, Trouble};
use super::tie::Tie;
use super::variables::VariableValues;
use super::{Action, Planned, Recipe, Rule, What, diagnostic};
use crate::error::{Error, Result};
use crate::manifest::{Entry, Manifest, StoredType};
use crate::names::grouped;
use crate::text::counted;

impl Recipe {
    /// Plans every tensor of a manifest as it is stored there, with these variables set. Tensors that the recipe skips
    /// are among them.
    ///
    /// # Errors
    /// A variable that the recipe does not have, or whose number the model contradicts; then, all together, parameters
    /// that no rule matches; rules that match nothing, and which rules stand before them; variables that no rule uses and
    /// nobody sets; specs that do not parse or do not fit a tensor, each for the first such tensor; ties of tensors that
    /// differ. What is inherited from a base may be for other models.
    pub fn apply(&self, manifest: &Manifest, settings: &[(String, f64)]) -> Result<Vec<Planned>> {
        self.plan_all(manifest, settings, |entry, _| entry.dtype)
    }

    /// As [`Recipe::apply`], with each tensor in the type it is to be written in: what a rule of `[dtype]` says, else
    /// `overall`, else the manifest's. Integers, and what is copied or skipped, keep the manifest's.
    ///
    /// # Errors
    /// As [`Recipe::apply`]; an `overall` type that no tensor takes.
    pub fn plan(
        &self,
        manifest: &Manifest,
        settings: &[(String, f64)],
        overall: Option<DType>,
    ) -> Result<Vec<Planned>> {
        let planned = self.plan_all(manifest, settings, |entry, chosen_dtype| {
            chosen_dtype.or(overall).map_or(entry.dtype, StoredType::from_float)
        })?;
        let mut drawn = planned.iter().filter(|planned| planned.plan.is_some()).peekable();
        if let (Some(overall), true) = (overall, drawn.peek().is_some())
            && drawn.all(|planned| planned.chosen_dtype.is_some())
        {
            let message =
                format!("dtype {overall} changes nothing: rules of [dtype] choose for every tensor");
            let last = self.dtypes.last().expect("they chose");
            return Err(last.span.error(message, "change the rule, or leave dtype out"));
        }
        Ok(planned)
    }

    /// Whether a tensor of this name is copied or skipped.
    pub fn leaves(&self, name: &str) -> bool {
        let name = self.first_name(name);
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(name));
        rule.is_some_and(|rule| matches!(rule.what, What::Copy | What::Skip))
    }

    fn plan_all(
        &self,
        manifest: &Manifest,
        settings: &[(String, f64)],
        stored: impl Fn(&Entry, Option<DType>) -> StoredType,
    ) -> Result<Vec<Planned>> {
        let numbers = self.numbers(manifest, settings)?;
        let (ties, diagnostics) = self.ties_of(manifest);
        // A tied tensor goes by its first name.
        let names: Vec<&str> = manifest
            .entries
            .iter()
            .zip(&ties)
            .map(|(entry, tie)| tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(&entry.name))
            .collect();
        let (rules, dtypes) = (Matching::new(&self.rules), Matching::new(&self.dtypes));
        let matches: Vec<Vec<usize>> = names.iter().map(|name| rules.of(name)).collect();
        let types: Vec<Vec<usize>> = manifest
            .entries
            .iter()
            .zip(&names)
            .map(|(entry, name)| if typed(entry) { dtypes.of(name) } else { Vec::new() })
            .collect();
        let mut diagnostics = self.diagnostics(&names, &matches, &types, diagnostics);
        diagnostics.extend(self.unused(settings));
        let by_name = manifest.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let (mut all, mut faulty, mut told) = (Vec::new(), HashSet::new(), HashSet::new());
        for (number, entry) in manifest.entries.iter().enumerate() {
            let Some(&first) = matches[number].first().filter(|&first| !faulty.contains(first)) else {
                continue;
            };
            let rule = &self.rules[first];
            let chosen_dtype = match rule.what {
                What::Copy | What::Skip => None,
                _ => types[number].first().map(|&first| self.dtypes[first].what),
            };
            let mut entry = entry.clone();
            if typed(&entry) && !matches!(rule.what, What::Copy | What::Skip) {
                entry.dtype = stored(&entry, chosen_dtype);
            }
            match plan(entry, rule, ties[number], chosen_dtype, (&numbers, &by_name)) {
                Ok(planned) => all.push(planned),
                // One tensor tells what is wrong with a rule; what is wrong with others is told with it.
                Err(Error::Recipe(more)) => {
                    faulty.insert(first);
                    diagnostics.extend(more.into_iter().filter(|one| told.insert(one.to_string())));
                }
                Err(error) => return Err(error),
            }
        }
        diagnostic::all(diagnostics)?;
        self.check_tied_types(&all, &ties)?;
        Ok(all)
    }

    /// Something wrong with what a rule of this recipe makes of a tensor.
    pub fn error_at(&self, planned: &Planned, message: impl Into<String>, remedy: &str) -> Error {
        let rule = self.rules.iter().find(|rule| rule.pattern.text == planned.pattern);
        rule.map_or(&self.head, |rule| &rule.span).error(message, remedy)
    }

    /// What is wrong if a parameter has no rule, or a rule no parameter: often the two are one slip of the pen, so both
    /// are told. So is what is wrong with its ties.
    fn diagnostics(
        &self,
        names: &[&str],
        matches: &[Vec<usize>],
        types: &[Vec<usize>],
        ties: Vec<diagnostic::Diagnostic>,
    ) -> Vec<diagnostic::Diagnostic> {
        let mut diagnostics = Vec::new();
        let unmatched: Vec<&str> =
            names.iter().zip(matches).filter(|(_, rules)| rules.is_empty()).map(|(name, _)| *name).collect();
        let unruled = (!unmatched.is_empty()).then(|| {
            let count = counted(unmatched.len() as u64, "parameter");
            format!("no rule matches {count}:\n  {}", grouped(&unmatched).join("\n  "))
        });
        let idle_rules = idle(&self.rules, matches, "initializes nothing");
        if let Some(model) = self.model.filter(|_| !idle_rules.is_empty()) {
            // Nobody mends a built-in recipe: it is held against the wrong model.
            let (idle, all) = (idle_rules.len(), self.rules.len());
            let unruled = unruled.map_or_else(String::new, |unruled| format!(", and {unruled}"));
            let message = format!(
                "these are not the tensors of {model}: of the {all} rules of its recipe {idle} match nothing{unruled}"
            );
            let remedy = format!(
                "`fanin recipe FILE` drafts a recipe for these; one of your own may say extends = \"{model}\""
            );
            diagnostics.push(self.head.diagnostic(message, remedy));
        } else {
            let remedy = "add rules for them, or \"*\" = \"...\" as the last one";
            diagnostics.extend(unruled.map(|unruled| self.head.diagnostic(unruled, remedy)));
            diagnostics.extend(idle_rules);
        }
        diagnostics.extend(idle(&self.dtypes, types, "chooses no type"));
        diagnostics.extend(ties);
        diagnostics
    }

    /// `Err` if tied tensors have different types.
    fn check_tied_types(&self, all: &[Planned], ties: &[Option<&Tie>]) -> Result {
        let known: HashMap<&str, &Entry> =
            all.iter().map(|planned| (planned.entry.name.as_str(), &planned.entry)).collect();
        for (planned, tie) in all.iter().zip(ties) {
            let first = planned.tied.as_deref().and_then(|first| known.get(first));
            if let (Some(tie), Some(first)) = (tie, first)
                && first.dtype != planned.entry.dtype
            {
                let (alias, name) = (&planned.entry.name, &first.name);
                let message = format!(
                    "{alias:?} is {} and {name:?}, to which it is tied, {}: one tensor has one type",
                    planned.entry.dtype, first.dtype
                );
                let remedy = format!("write {name:?} = \"f32\", or another type, under [dtype]");
                return Err(tie.span.error(message, remedy));
            }
        }
        Ok(())
    }
}

/// Whether a type may be chosen for a tensor: not for integers.
fn typed(entry: &Entry) -> bool {
    entry.dtype.integers().is_none() && entry.dtype != StoredType::C64
}

/// A diagnostic for each rule that is first for no tensor.
fn idle<T>(rules: &[Rule<T>], matches: &[Vec<usize>], nothing: &str) -> Vec<diagnostic::Diagnostic> {
    // Of each rule those that are first where it matches.
    let mut takers = vec![BTreeSet::new(); rules.len()];
    for rules in matches {
        for &rule in rules {
            takers[rule].insert(rules[0]);
        }
    }
    let own = (0..rules.len()).filter(|&number| !rules[number].inherited);
    own.filter(|number| !takers[*number].contains(number))
        .map(|number| {
            let takers: Vec<_> =
                takers[number].iter().map(|&taker| format!("{:?}", rules[taker].pattern.text)).collect();
            let why = match takers.as_slice() {
                [] => String::new(),
                _ => format!(": all it matches is taken by {} before it", takers.join(" and ")),
            };
            let pattern = &rules[number].pattern;
            let message = format!("the rule {:?} matches nothing in this model{why}", pattern.text);
            let remedy = format!("a pattern that never matches {nothing}: mend or remove it");
            pattern.span.diagnostic(message, remedy)
        })
        .collect()
}

/// What a tensor will be by its rule.
fn plan(
    entry: Entry,
    rule: &Rule<What>,
    tie: Option<&Tie>,
    chosen_dtype: Option<DType>,
    (numbers, by_name): (&VariableValues, &HashMap<&str, &Entry>),
) -> Result<Planned> {
    let context = || format!("{:?} for {}", rule.pattern.text, entry.name);
    let wrong = |error| rule.span.spec_error(&context(), error);
    let unfit = |what: String, remedy: String| rule.span.error(format!("{}: {what}", context()), remedy);
    let (mut plan, mut integer) = (None, None);
    let dtype = entry.dtype;
    let action = match (rule.what, dtype.float(), dtype.integers()) {
        (What::Copy, ..) => Action::Copy,
        (What::Skip, ..) => Action::Skip,
        (What::Arange, _, Some((_, greatest))) => {
            let steps = entry.shape.last().copied().unwrap_or(1);
            if steps as i128 - 1 > greatest {
                let what =
                    format!("{dtype} holds no more than {greatest}, and the last axis has {steps} places");
                return Err(unfit(what, "copy or skip it".to_owned()));
            }
            Action::Arange
        }
        (What::Arange, ..) => {
            let remedy = "arange is for positions and indices, which are integers: give it a spec".to_owned();
            return Err(unfit(format!("arange cannot be written as {dtype}"), remedy));
        }
        (What::Spec, float, integers) => {
            let read = Scope::new(numbers, &entry, by_name).read(&rule.text);
            let init = read.map_err(|trouble| match trouble {
                Trouble::Spec(error) => wrong(error),
                Trouble::Variable(diagnostic) => Error::Recipe(vec![diagnostic]),
            })?;
            match (float, integers) {
                (Some(dtype), _) => plan = Some(init.resolve(&entry.shape, dtype).map_err(wrong)?),
                (None, Some((least, greatest))) => {
                    let distribution = init.resolve(&entry.shape, DType::F64).map_err(wrong)?.distribution();
                    let value = match distribution {
                        Distribution::Constant { value } if value.fract() == 0.0 => Some(value as i128),
                        _ => None,
                    };
                    integer = value.filter(|value| (least..=greatest).contains(value));
                    if integer.is_none() {
                        let remedy = format!(
                            "an integer tensor takes zeros, ones, a constant from {least} to {greatest}, arange, copy \
                             or skip"
                        );
                        return Err(unfit(format!("{init} cannot be written as {dtype}"), remedy));
                    }
                }
                (None, None) => {
                    let what = format!("{dtype} is a type that fanin does not draw");
                    let remedy = "\"copy\" its values, \"skip\" it, or choose another type under [dtype]";
                    return Err(unfit(what, remedy.to_owned()));
                }
            }
            Action::Init(init)
        }
    };
    let tied = tie.and_then(|tie| tie.canonical.clone());
    let pattern = rule.pattern.text.clone();
    let location = Some(rule.span.location());
    Ok(Planned { entry, pattern, location, action, plan, integer, tied, chosen_dtype })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        assert_eq!(
            planned[0].plan.as_ref().unwrap().distribution(),
            Distribution::Normal { mean: 0.0, std: 0.125 }
        );
        assert_eq!(planned[1].pattern, "*.bias");
        assert_eq!(planned[2].integer, Some(0));
        let planned = apply(text, &[("n", 1.0)]).unwrap();
        assert_eq!(planned[0].plan.as_ref().unwrap().std(), 0.25);
    }

    #[test]
    fn a_bias_sees_its_weight_and_a_name_its_layer() {
        let text = "[init]\n\"*.bias\" = \"linear_default_bias(weight_fan_in)\"\n\"h.*\" = \"normal(std=depth_scaled(layer))\"\n\"*\" = \"zeros\"";
        let planned = apply(text, &[]).unwrap();
        assert_eq!(planned[0].action.to_string(), format!("normal(std={})", 1.0 / 2f64.sqrt()));
        assert_eq!(planned[1].action.to_string(), "linear_default_bias(fan_in=4)");
        let error = apply("[init]\n\"*\" = \"normal(std=1/(layer+1))\"", &[]).unwrap_err().to_string();
        assert!(error.contains("steps") && error.contains("there is no layer"), "{error}");
        let error = apply("[init]\n\"*\" = \"normal(std=weight_fan_out)\"", &[]).unwrap_err().to_string();
        assert!(error.contains("there is no weight_fan_out"), "{error}");
    }

    #[test]
    fn types_are_chosen_by_rule_then_overall_then_manifest() {
        let plan = |dtype: &str, overall| {
            let text = format!("[init]\n\"*\" = \"zeros\"\n{dtype}");
            let recipe = Recipe::parse(&text, Path::new("r.toml")).unwrap();
            let planned = recipe.plan(&manifest(), &[], overall).unwrap();
            planned.iter().map(|planned| planned.entry.dtype.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(plan("", None), ["F32", "BF16", "I64"]);
        assert_eq!(plan("", Some(DType::F16)), ["F16", "F16", "I64"]);
        assert_eq!(plan("[dtype]\n\"*.bias\" = \"f64\"", Some(DType::F16)), ["F16", "F64", "I64"]);
        let rules = "[dtype]\n\"*.bias\" = \"f64\"\n\"*\" = \"float16\"";
        assert_eq!(plan(rules, None), ["F16", "F64", "I64"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let zeros = "\"*\" = \"zeros\"";
        for (text, settings, needles) in [
            (
                "[init]\n\"*.bias\" = \"zeros\"".to_owned(),
                &[][..],
                &["r.toml:1:2: no rule matches 2 parameters", "h.0.fc.weight", "steps"][..],
            ),
            (
                format!("[init]\n{zeros}\n\"*.wight\" = \"ones\""),
                &[],
                &["r.toml:3:1: ", "*.wight", "matches nothing"],
            ),
            (format!("[init]\n{zeros}\n\"*.bias\" = \"ones\""), &[], &["taken by \"*\" before it"]),
            (
                format!("[init]\n\"*.bias\" = \"ones\"\n\"h.*\" = \"ones\"\n\"h.0.*\" = \"ones\"\n{zeros}"),
                &[],
                &["r.toml:4:1: ", "taken by \"*.bias\" and \"h.*\" before it"],
            ),
            (
                "[init]\n\"*.wight\" = \"ones\"\n\"*.bias\" = \"zeros\"\nsteps = \"zeros\"".to_owned(),
                &[],
                &["no rule matches 1 parameter:\n  h.0.fc.weight", "\nr.toml:2:1: the rule \"*.wight\""],
            ),
            ("[init]\n\"*\" = \"zeroes\"".to_owned(), &[], &["r.toml:2:8: ", "did you mean zeros?", "^"]),
            (
                format!("[init]\n\"*.weight\" = \"normal(std=-1)\"\n{zeros}"),
                &[],
                &["r.toml:2:14: ", "h.0.fc.weight", "std = -1"],
            ),
            (
                "[init]\n\"*\" = \"normal(std=1/fan_in)\"".to_owned(),
                &[],
                &["r.toml:2:21: ", "no fan_in", "h.0.fc.bias", "^"],
            ),
            (format!("[init]\nsteps = \"normal\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\nsteps = \"constant(0.5)\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\nsteps = \"constant(2^63)\"\n{zeros}"), &[], &["cannot be written as I64"]),
            (format!("[init]\n{zeros}"), &[("n_layers", 3.0)], &["no variable \"n_layers\""]),
            (
                format!("[vars]\nn_layer = 1\n[init]\n{zeros}"),
                &[("n_layers", 3.0)],
                &["did you mean n_layer?"],
            ),
            (
                "[vars]\nn = { count = \"x.*\" }\n[init]\n\"*\" = \"constant(n)\"".to_owned(),
                &[],
                &["r.toml:2:15: ", "no tensor of this model is called \"x.*\""],
            ),
            (
                "[vars]\nn = { fan_in = \"*\" }\n[init]\n\"*\" = \"constant(n)\"".to_owned(),
                &[],
                &["r.toml:2:16: ", "h.0.fc.bias [8] has no fans"],
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
