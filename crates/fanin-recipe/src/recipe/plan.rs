//! Uses a recipe to plan the tensors of a manifest.

use std::collections::{HashMap, HashSet};

use fanin::DType;

use super::definition::Recipe;
use super::matching::Matching;
use super::plan_tensor::{ModelContext, plan_tensor};
use super::planned::Planned;
use super::source::into_result;
use super::tie::{Tie, ties_of};
use super::variable::{Property, VariableValue, VariableValues};
use crate::error::{Error, Result, did_you_mean};
use crate::manifest::{Entry, Manifest};
use crate::stored_type::StoredType;

impl Recipe {
    /// Plans every tensor of a manifest, with the dtype in the manifest. The returned vector also contains copied and
    /// skipped tensors.
    ///
    /// Each element of `settings` is the name of a variable and a number. The number replaces the variable's value in
    /// the recipe.
    ///
    /// # Errors
    /// A setting is an error in three cases:
    ///
    /// - the recipe does not have the variable;
    /// - the variable is a number that is read from the name of each parameter, as in `layer = "encoder.layer.{}"`;
    /// - the variable is a property of the model, such as `{ count = "*.ln_1.weight" }`, and the number is not the
    ///   value of this property.
    ///
    /// An error of a setting is reported alone. All other mistakes are reported together:
    ///
    /// - parameters that no rule matches;
    /// - unused rules, variables and ties;
    /// - specs that are invalid or do not fit a tensor (only the first such tensor is reported for each rule);
    /// - ties of tensors of different shapes.
    ///
    /// These may be unused: rules and ties of a base recipe (`extends`), variables that a base recipe defines,
    /// variables in `settings`, and ties of a built-in recipe.
    ///
    /// Ties of tensors of different dtypes are reported only if there is no other mistake.
    pub fn plan(&self, manifest: &Manifest, settings: &[(String, f64)]) -> Result<Vec<Planned>> {
        self.plan_all(manifest, settings, |entry, _| entry.dtype)
    }

    /// Plans every tensor of a manifest, with the dtype in which the tensor will be written.
    ///
    /// The written dtype is the first of these dtypes:
    ///
    /// - the dtype of the first matching rule of `[dtype]`;
    /// - `overall`, unless it is `None`;
    /// - the dtype in the manifest.
    ///
    /// Integer, complex, copied and skipped tensors always keep the dtype in the manifest.
    ///
    /// # Errors
    /// Returns the same errors as [`Recipe::plan`]. Also returns an error if `overall` has no effect: if rules of
    /// `[dtype]` choose the dtype of every drawn tensor.
    pub fn plan_with_dtype(
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
                format!("dtype {overall} has no effect: rules of [dtype] choose the dtype of every tensor");
            let last = self.dtypes.last().expect("a rule of [dtype] matched");
            return Err(last.span.error(message, "change this rule, or do not set an overall dtype"));
        }
        Ok(planned)
    }

    /// Returns an error at the position of the rule that planned a tensor.
    pub fn error_at(&self, planned: &Planned, message: impl Into<String>, remedy: &str) -> Error {
        let rule = self.rules.iter().find(|rule| rule.pattern.text == planned.pattern);
        rule.map_or(&self.init_span, |rule| &rule.span).error(message, remedy)
    }

    /// Plans every tensor. `written_dtype(entry, chosen_dtype)` must return the dtype to write. `chosen_dtype` is the
    /// dtype from `[dtype]`, or `None`. Integer, complex, copied and skipped tensors keep their dtype.
    fn plan_all(
        &self,
        manifest: &Manifest,
        settings: &[(String, f64)],
        written_dtype: impl Fn(&Entry, Option<DType>) -> StoredType,
    ) -> Result<Vec<Planned>> {
        let variables = self.variable_values(manifest, settings)?;
        let (ties, tie_diagnostics) = ties_of(&self.ties, manifest);
        let names: Vec<&str> = manifest
            .entries
            .iter()
            .zip(&ties)
            .map(|(entry, tie)| tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(&entry.name))
            .collect();
        let (rules, dtypes) = (Matching::new(&self.rules), Matching::new(&self.dtypes));
        let matches: Vec<Vec<usize>> = names.iter().map(|name| rules.matching(name)).collect();
        let dtype_matches: Vec<Vec<usize>> = manifest
            .entries
            .iter()
            .zip(&names)
            .map(|(entry, name)| if has_dtype_choice(entry) { dtypes.matching(name) } else { Vec::new() })
            .collect();
        let mut diagnostics = self.coverage_diagnostics(&names, &matches, &dtype_matches);
        diagnostics.extend(tie_diagnostics);
        diagnostics.extend(self.unused_variables(settings));
        let entries = manifest.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let context = ModelContext { variables: &variables, entries: &entries };
        let (mut all, mut faulty_rules, mut reported) = (Vec::new(), HashSet::new(), HashSet::new());
        for (index, entry) in manifest.entries.iter().enumerate() {
            // An invalid rule is reported only for the first tensor that the rule does not fit.
            let Some(&winner) = matches[index].first().filter(|&rule| !faulty_rules.contains(rule)) else {
                continue;
            };
            let rule = &self.rules[winner];
            let keeps_values = rule.value.keeps_values();
            let dtype_rule = dtype_matches[index].first().filter(|_| !keeps_values);
            let chosen_dtype = dtype_rule.map(|&rule| self.dtypes[rule].value);
            let mut entry = entry.clone();
            if has_dtype_choice(&entry) && !keeps_values {
                entry.dtype = written_dtype(&entry, chosen_dtype);
            }
            match plan_tensor(entry, rule, ties[index], chosen_dtype, context) {
                Ok(planned) => all.push(planned),
                Err(Error::Recipe(more)) => {
                    faulty_rules.insert(winner);
                    diagnostics.extend(more.into_iter().filter(|one| reported.insert(one.to_string())));
                }
                Err(error) => return Err(error),
            }
        }
        into_result(diagnostics)?;
        check_tied_dtypes(&all, &ties)?;
        Ok(all)
    }

    /// Returns the values of the recipe's variables for the tensors of `manifest`. A setting replaces the value of its
    /// variable.
    fn variable_values(&self, manifest: &Manifest, settings: &[(String, f64)]) -> Result<VariableValues> {
        let mut values = VariableValues::default();
        for variable in &self.variables {
            let name = variable.name.clone();
            match &variable.value {
                VariableValue::Number(number) => _ = values.known.insert(name, *number),
                VariableValue::NameNumber(number) => _ = values.in_names.insert(name, number.clone()),
                VariableValue::Property(property, pattern) => match property.evaluate(pattern, manifest) {
                    Ok(number) => _ = values.known.insert(name, number),
                    Err(diagnostic) => _ = values.failed.insert(name, diagnostic),
                },
            }
        }
        for (name, value) in settings {
            let Some(variable) = self.variables.iter().find(|variable| variable.name == *name) else {
                let names: Vec<&str> = self.variables.iter().map(|variable| variable.name.as_str()).collect();
                let hint = did_you_mean(name, names.iter().copied());
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                let message =
                    format!("the recipe has no variable {name:?} to set{hint} (its variables: {names})");
                return Err(Error::file(&self.source.path, message));
            };
            if let (VariableValue::Property(property, pattern), Some(found)) =
                (&variable.value, values.known.get(name))
                && found != value
            {
                let definition = match property {
                    Property::Count => format!("the number of tensors that match {:?}", pattern.text),
                    _ => format!("the {} of {:?}", property.name(), pattern.text),
                };
                let message = format!(
                    "{name} = {value} contradicts the model: {name} is {definition}, which in this model is \
                     {found}. A setting cannot add layers or change shapes"
                );
                let remedy = format!(
                    "give the names and shapes of a model with {name} = {value}; or, to use {value} with this model, \
                     extend this recipe and write {name} = {value} under [vars]"
                );
                return Err(variable.span.error(message, remedy));
            }
            if let VariableValue::NameNumber(number) = &variable.value {
                let message = format!(
                    "{name} cannot be set, because it is the number at {:?} in the name of each parameter",
                    number.text
                );
                return Err(variable.span.error(message, "write a number under [vars] instead"));
            }
            values.failed.remove(name);
            values.known.insert(name.clone(), *value);
        }
        Ok(values)
    }
}

/// Returns true if a recipe may choose the dtype of the tensor: if the tensor is neither integer nor complex.
fn has_dtype_choice(entry: &Entry) -> bool {
    entry.dtype.integers().is_none() && entry.dtype != StoredType::C64
}

/// Returns an error if an alias and its canonical tensor have different dtypes. `ties[i]` is the tie of the tensor
/// `all[i]`, or `None`.
fn check_tied_dtypes(all: &[Planned], ties: &[Option<&Tie>]) -> Result {
    let entries: HashMap<&str, &Entry> =
        all.iter().map(|planned| (planned.entry.name.as_str(), &planned.entry)).collect();
    for (planned, tie) in all.iter().zip(ties) {
        let canonical = planned.tied.as_deref().and_then(|canonical| entries.get(canonical));
        if let (Some(tie), Some(canonical)) = (tie, canonical)
            && canonical.dtype != planned.entry.dtype
        {
            let (alias, name) = (&planned.entry.name, &canonical.name);
            let message = format!(
                "{alias:?} has dtype {}, but is tied to {name:?} of dtype {}: tied tensors must have the same dtype",
                planned.entry.dtype, canonical.dtype
            );
            let remedy = format!("write {name:?} = \"f32\", or another dtype, under [dtype]");
            return Err(tie.span.error(message, remedy));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fanin::Distribution;

    use super::*;

    fn manifest() -> Manifest {
        let json = r#"{"h.0.fc.weight": {"dtype": "F32", "shape": [8, 4]}, "h.0.fc.bias": {"dtype": "BF16", "shape": [8]},
                       "steps": {"dtype": "I64", "shape": []}}"#;
        Manifest::from_json(json, Path::new("m.json")).unwrap()
    }

    fn plan(text: &str, settings: &[(&str, f64)]) -> Result<Vec<Planned>> {
        let settings: Vec<(String, f64)> =
            settings.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Recipe::parse(text, Path::new("r.toml"))?.plan(&manifest(), &settings)
    }

    #[test]
    fn the_first_matching_rule_applies_and_specs_can_use_variables() {
        let text = "[vars]\nn = 4\n[init]\n\"*.bias\" = \"zeros\"\n\"h.*\" = \"normal(std=0.5/sqrt(n*fan_in))\"\n\"*\" = \"zeros\"";
        let planned = plan(text, &[]).unwrap();
        assert_eq!(
            planned[0].plan.as_ref().unwrap().distribution(),
            Distribution::Normal { mean: 0.0, std: 0.125 }
        );
        assert_eq!(planned[1].pattern, "*.bias");
        assert_eq!(planned[2].integer, Some(0));
        let planned = plan(text, &[("n", 1.0)]).unwrap();
        assert_eq!(planned[0].plan.as_ref().unwrap().std(), 0.25);
    }

    #[test]
    fn specs_can_use_the_fans_of_a_biass_weight_and_the_layer_in_a_name() {
        let text = "[init]\n\"*.bias\" = \"linear_default_bias(weight_fan_in)\"\n\"h.*\" = \"normal(std=depth_scaled(layer))\"\n\"*\" = \"zeros\"";
        let planned = plan(text, &[]).unwrap();
        assert_eq!(planned[0].action.to_string(), format!("normal(std={})", 1.0 / 2f64.sqrt()));
        assert_eq!(planned[1].action.to_string(), "linear_default_bias(fan_in=4)");
        let error = plan("[init]\n\"*\" = \"normal(std=1/(layer+1))\"", &[]).unwrap_err().to_string();
        assert!(error.contains("steps") && error.contains("there is no layer"), "{error}");
        let error = plan("[init]\n\"*\" = \"normal(std=weight_fan_out)\"", &[]).unwrap_err().to_string();
        assert!(error.contains("there is no weight_fan_out"), "{error}");
    }

    #[test]
    fn a_pattern_selects_the_layer_in_a_name_with_several_numbers() {
        let of = |names: &[&str], shape: &str, text: &str| {
            let tensors =
                names.iter().map(|name| format!(r#""{name}": {{"dtype": "F32", "shape": {shape}}}"#));
            let json = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
            let manifest = Manifest::from_json(&json, Path::new("m.json")).unwrap();
            let planned =
                Recipe::parse(text, Path::new("r.toml")).and_then(|recipe| recipe.plan(&manifest, &[]));
            planned
                .map(|planned| planned.iter().map(|planned| planned.action.to_string()).collect::<Vec<_>>())
        };
        let rule = "[init]\n\"*\" = \"constant(layer)\"";
        let sentence = "0.auto_model.encoder.layer.3.output.weight";
        let error = of(&[sentence], "[2]", rule).unwrap_err().to_string();
        for needle in ["layer could be 0 or 3 in 0.auto_model", "layer = \"encoder.layer.{}\""] {
            assert!(error.contains(needle), "{error}");
        }
        let named = format!("[vars]\nlayer = \"encoder.layer.{{}}\"\n{rule}");
        assert_eq!(of(&[sentence], "[2]", &named).unwrap(), ["constant(val=3)"]);
        let swin = "layers.2.blocks.5.attn.weight";
        let two = "[vars]\nstage = \"layers.{}.blocks\"\nblock = \"blocks.{}\"\n[init]\n\"*\" = \"constant(10*stage+block)\"";
        assert_eq!(of(&[swin], "[2]", two).unwrap(), ["constant(val=25)"]);
        assert_eq!(of(&["params/layers/3/kernel"], "[2]", rule).unwrap(), ["constant(val=3)"]);
        assert_eq!(of(&["params.layers_3.mlp.kernel"], "[2]", rule).unwrap(), ["constant(val=3)"]);
        // For `jax.lax.scan`, all layers are stacked in one tensor, so its name contains no layer number. Inside
        // `stacked(...)`, `index` is the layer number.
        let error = of(&["params.layers.kernel"], "[3, 2]", rule).unwrap_err().to_string();
        assert!(error.contains("contains no layer number") && error.contains("stacked"), "{error}");
        let scanned = "[init]\n\"*\" = \"stacked(constant(2*index))\"";
        assert_eq!(of(&["params.layers.kernel"], "[3, 2]", scanned).unwrap(), ["stacked(constant(2*index))"]);
        for (wrong, needle) in [
            ("[vars]\nlayer = 3\n[init]\n\"*\" = \"constant(layer)\"", "write the text around the number"),
            ("[vars]\nlayer = \"encoder\"\n[init]\n\"*\" = \"constant(layer)\"", "must contain {} once"),
            (
                "[vars]\nlayer = \"decoder.{}\"\n[init]\n\"*\" = \"constant(layer)\"",
                "has no number at \"decoder.{}\"",
            ),
            ("[vars]\nlayer = \"layer.{}\"\n[init]\n\"*\" = \"zeros\"", "no rule uses the variable layer"),
        ] {
            let error = of(&[sentence], "[2]", wrong).unwrap_err().to_string();
            assert!(error.contains(needle), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_name_with_braces_from_a_dry_run_is_a_pattern_for_all_its_tensors() {
        let json = r#"{"h.0.w": {"dtype": "F32", "shape": [2]}, "h.1.w": {"dtype": "F32", "shape": [2]},
                       "h.10.w": {"dtype": "F32", "shape": [2]}}"#;
        let manifest = Manifest::from_json(json, Path::new("m.json")).unwrap();
        let names: Vec<&str> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
        let compact = crate::names::grouped(&names);
        assert_eq!(compact, ["h.{0..1,10}.w"]);
        let text = format!("[init]\n\"{}\" = \"ones\"", compact[0]);
        assert_eq!(Recipe::parse(&text, Path::new("r.toml")).unwrap().plan(&manifest, &[]).unwrap().len(), 3);
    }

    #[test]
    fn the_dtype_comes_from_a_rule_or_else_from_overall_or_else_from_the_manifest() {
        let dtypes = |dtype: &str, overall| {
            let text = format!("[init]\n\"*\" = \"zeros\"\n{dtype}");
            let recipe = Recipe::parse(&text, Path::new("r.toml")).unwrap();
            let planned = recipe.plan_with_dtype(&manifest(), &[], overall).unwrap();
            planned.iter().map(|planned| planned.entry.dtype.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(dtypes("", None), ["F32", "BF16", "I64"]);
        assert_eq!(dtypes("", Some(DType::F16)), ["F16", "F16", "I64"]);
        assert_eq!(dtypes("[dtype]\n\"*.bias\" = \"f64\"", Some(DType::F16)), ["F16", "F64", "I64"]);
        let rules = "[dtype]\n\"*.bias\" = \"f64\"\n\"*\" = \"float16\"";
        assert_eq!(dtypes(rules, None), ["F16", "F64", "I64"]);
    }

    #[test]
    fn every_mistake_is_reported_with_its_line_and_column() {
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
                &["r.toml:3:1: ", "unused rule \"*.wight\": the pattern matches no tensor"],
            ),
            (
                format!("[init]\n{zeros}\n\"*.bias\" = \"ones\""),
                &[],
                &[
                    "unused rule \"*.bias\": earlier rules apply to all tensors that the pattern matches: \"*\"",
                ],
            ),
            (
                format!("[init]\n\"*.bias\" = \"ones\"\n\"h.*\" = \"ones\"\n\"h.0.*\" = \"ones\"\n{zeros}"),
                &[],
                &["r.toml:4:1: ", "all tensors that the pattern matches: \"*.bias\", \"h.*\""],
            ),
            (
                "[init]\n\"*.wight\" = \"ones\"\n\"*.bias\" = \"zeros\"\nsteps = \"zeros\"".to_owned(),
                &[],
                &["no rule matches 1 parameter:\n  h.0.fc.weight", "\nr.toml:2:1: unused rule \"*.wight\""],
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
                &["r.toml:2:15: ", "no tensor of this model matches \"x.*\""],
            ),
            (
                "[vars]\nn = { fan_in = \"*\" }\n[init]\n\"*\" = \"constant(n)\"".to_owned(),
                &[],
                &["r.toml:2:16: ", "h.0.fc.bias [8] has no fans"],
            ),
        ] {
            let error = plan(&text, settings).unwrap_err().to_string();
            for needle in needles {
                assert!(error.contains(needle), "{text}: {error}");
            }
            assert!(error.starts_with("r.toml:"), "{error}");
        }
    }

    #[test]
    fn diagnostics_mark_the_mistake_in_every_kind_of_toml_string() {
        for (toml, wrong) in [
            ("\"normal(std=x)\"", "x"),
            ("'normal(std=x)'", "x"),
            ("\"\\u006eormal(std=x)\"", "x"),
            ("\"norm\\x61l(\\tstd=x)\"", "x"),
            ("\"\"\"\nnormal(\n  std=x)\"\"\"", "x"),
            ("'''\nnormal(\n\n  std=x)'''", "x"),
            ("\"\"\"normal(\\\n     std=x)\"\"\"", "x"),
            ("\"\"\"normal(std=\\\n     x)\"\"\"", "x"),
            ("\"nrmal(std=1)\"", "nrmal"),
            ("\"\\U0000006erm\"", "\\U0000006erm"),
            ("\"normal(std=1\"", "\""),
            ("\"n\u{e9}(1)\"", "n\u{e9}"),
        ] {
            let text = format!("[init]\n\"*\" = {toml}\n");
            let json = r#"{"a": {"dtype": "F32", "shape": [2, 2]}}"#;
            let manifest = Manifest::from_json(json, Path::new("m")).unwrap();
            let recipe = Recipe::parse(&text, Path::new("r.toml"));
            let error = recipe.and_then(|recipe| recipe.plan(&manifest, &[])).unwrap_err();
            let Error::Recipe(diagnostics) = error else { panic!("{error}") };
            let [diagnostic] = diagnostics.as_slice() else { panic!("{diagnostics:?}") };
            let line = text.lines().nth(diagnostic.line - 1).unwrap();
            let marked: String = line
                .chars()
                .skip(diagnostic.column - 1)
                .take(diagnostic.marks_length.max(wrong.chars().count()))
                .collect();
            assert_eq!(marked, wrong, "{toml}: {diagnostic}");
        }
    }
}
