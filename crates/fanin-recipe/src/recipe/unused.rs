//! Diagnostics about parameters that no rule matches, rules that apply to no tensor, and variables that no rule uses.

use std::collections::BTreeSet;

use super::definition::Recipe;
use super::rule::Rule;
use super::variable::{PARAMETER_VARIABLES, RESERVED, Variable, words};
use crate::diagnostic::Diagnostic;
use crate::error::did_you_mean;
use crate::names::grouped;
use crate::text::counted;

impl Recipe {
    /// Returns diagnostics about parameters that no rule matches, and about unused rules of `[init]` and `[dtype]`.
    /// Both mistakes are reported together, because one misspelled pattern often causes both.
    ///
    /// `matches[i]` contains the indices of the rules of `[init]` that match `names[i]`. The first of these rules
    /// applies. `dtype_matches[i]` is the same for `[dtype]`, and is empty for an integer or complex tensor.
    pub(super) fn coverage_diagnostics(
        &self,
        names: &[&str],
        matches: &[Vec<usize>],
        dtype_matches: &[Vec<usize>],
    ) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let unmatched: Vec<&str> =
            names.iter().zip(matches).filter(|(_, rules)| rules.is_empty()).map(|(name, _)| *name).collect();
        let uncovered = (!unmatched.is_empty()).then(|| {
            let count = counted(unmatched.len() as u64, "parameter");
            format!("no rule matches {count}:\n  {}", grouped(&unmatched).join("\n  "))
        });
        let unused_rules = diagnose_unused(&self.rules, matches, "", "tensor");
        if let Some(model) = self.model.filter(|_| !unused_rules.is_empty()) {
            // Every rule of a built-in recipe applies to a tensor of its model. An unused rule therefore means that the
            // tensors are those of another model.
            let (unused, all) = (unused_rules.len(), self.rules.len());
            let uncovered = uncovered.map_or_else(String::new, |uncovered| format!(", and {uncovered}"));
            let message = format!(
                "these tensors are not the tensors of the model {model}: {unused} of the {all} rules of its recipe \
                 match no tensor{uncovered}"
            );
            let remedy = format!(
                "draft a recipe for these tensors with `fanin recipe FILE`, or write one with extends = \"{model}\""
            );
            diagnostics.push(self.init_span.diagnostic(message, remedy));
        } else {
            let remedy = "add rules for these parameters, or a last rule \"*\" = \"...\"";
            diagnostics.extend(uncovered.map(|uncovered| self.init_span.diagnostic(uncovered, remedy)));
            diagnostics.extend(unused_rules);
        }
        diagnostics.extend(diagnose_unused(
            &self.dtypes,
            dtype_matches,
            " in [dtype]",
            "floating-point tensor",
        ));
        diagnostics
    }

    /// Returns a diagnostic for each variable that no rule uses. A variable need not be used if a base recipe also
    /// defines it, or if `settings` sets it.
    pub(super) fn unused_variables(&self, settings: &[(String, f64)]) -> Vec<Diagnostic> {
        let used: BTreeSet<&str> = self.rules.iter().flat_map(|rule| words(&rule.text)).collect();
        let is_unused = |variable: &&Variable| {
            let name = &variable.name;
            !variable.inherited
                && !used.contains(name.as_str())
                && settings.iter().all(|(setting, _)| setting != name)
        };
        // The words of rules that may be misspelled names of variables.
        let undefined = || {
            let is_defined = |word: &str| self.variables.iter().any(|variable| variable.name == word);
            used.iter().copied().filter(move |word| {
                !is_defined(word) && !PARAMETER_VARIABLES.contains(word) && !RESERVED.contains(word)
            })
        };
        let diagnostic = |variable: &Variable| {
            let name = &variable.name;
            let message = format!("no rule uses the variable {name}{}", did_you_mean(name, undefined()));
            variable.span.diagnostic(message, "use the variable in a rule, or remove this line")
        };
        self.variables.iter().filter(is_unused).map(diagnostic).collect()
    }
}

/// If more than this number of rules match no tensor, these rules share one diagnostic.
const MAX_SINGLE: usize = 3;

/// Returns a diagnostic for each unused rule: a rule that applies to no tensor. If more than `MAX_SINGLE` rules match
/// no tensor, these rules share one diagnostic. `section` and `tensor` are parts of the messages, such as
/// `" in [dtype]"` and `"floating-point tensor"`.
fn diagnose_unused<T>(
    rules: &[Rule<T>],
    matches: &[Vec<usize>],
    section: &str,
    tensor: &str,
) -> Vec<Diagnostic> {
    // For each tensor that rule `i` matches, `winners[i]` contains the rule that applies to the tensor.
    let mut winners = vec![BTreeSet::new(); rules.len()];
    for matching in matches {
        for &rule in matching {
            winners[rule].insert(matching[0]);
        }
    }
    let is_unused = |&index: &usize| !rules[index].inherited && !winners[index].contains(&index);
    let diagnostic = |index: usize| {
        let pattern = &rules[index].pattern;
        let earlier: Vec<String> =
            winners[index].iter().map(|&winner| format!("{:?}", rules[winner].pattern.text)).collect();
        let reason = match earlier.as_slice() {
            [] => format!("the pattern matches no {tensor} of this model"),
            _ => {
                format!("earlier rules apply to all tensors that the pattern matches: {}", earlier.join(", "))
            }
        };
        let message = format!("unused rule {:?}{section}: {reason}", pattern.text);
        pattern.span.diagnostic(message, "correct the pattern, or remove the rule")
    };
    let unused = (0..rules.len()).filter(is_unused);
    let (matching_none, taken): (Vec<usize>, Vec<usize>) = unused.partition(|&rule| winners[rule].is_empty());
    if matching_none.len() <= MAX_SINGLE {
        let mut all = [matching_none, taken].concat();
        all.sort_unstable();
        return all.into_iter().map(diagnostic).collect();
    }
    let first = &rules[matching_none[0]].pattern;
    let names: Vec<String> = matching_none
        .iter()
        .take(MAX_SINGLE)
        .map(|&rule| format!("{:?}", rules[rule].pattern.text))
        .collect();
    let (count, all) = (matching_none.len(), rules.len());
    let message = format!(
        "{count} of the {all} rules{section} match no {tensor} of this model: {} and {} more",
        names.join(", "),
        count - MAX_SINGLE
    );
    let remedy = if 2 * count > all {
        "the recipe is for another model: draft one for this model with `fanin recipe FILE`"
    } else {
        "correct the patterns, or remove the rules"
    };
    let grouped = first.span.diagnostic(message, remedy);
    std::iter::once(grouped).chain(taken.into_iter().map(diagnostic)).collect()
}
