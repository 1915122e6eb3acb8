//! Plans one tensor with the rule that applies to the tensor.

use std::collections::HashMap;

use fanin::init::Init;
use fanin::{DType, Distribution, Initializer as _};

use super::copy_source::{self, CopyError};
use super::planned::{Action, Planned};
use super::rule::{Assignment, Rule};
use super::scope::{Scope, ScopeError};
use super::tie::Tie;
use super::variable::VariableValues;
use crate::error::{Error, Result};
use crate::manifest::Entry;

/// The properties of the whole model on which the plan of a tensor can depend.
#[derive(Clone, Copy)]
pub(super) struct ModelContext<'a> {
    pub(super) variables: &'a VariableValues,
    /// All tensors of the model by name.
    pub(super) entries: &'a HashMap<&'a str, &'a Entry>,
}

/// Plans a tensor with `rule`. `entry` must have the dtype that will be written. `tie` is the tie whose alias is this
/// tensor. `chosen_dtype` is the tensor's dtype from `[dtype]`.
pub(super) fn plan_tensor(
    entry: Entry,
    rule: &Rule<Assignment>,
    tie: Option<&Tie>,
    chosen_dtype: Option<DType>,
    model: ModelContext<'_>,
) -> Result<Planned> {
    let (mut plan, mut integer) = (None, None);
    let scope = Scope::new(model.variables, &entry, model.entries);
    let scope_error = |error| match error {
        ScopeError::Spec(error) => spec_error(&entry, rule, error),
        ScopeError::Variable(diagnostic) => Error::Recipe(vec![diagnostic]),
    };
    let action = match &rule.value {
        Assignment::Copy(copy) => {
            let matched = tie.and_then(|tie| tie.canonical.as_deref()).unwrap_or(&entry.name);
            let copy =
                copy_source::resolve(copy, &rule.pattern, matched, &scope).map_err(|error| match error {
                    CopyError::Scope(error) => scope_error(error),
                    CopyError::Template(message) => rule_error(&entry, rule, message, "correct the rule"),
                })?;
            Action::Copy(copy)
        }
        Assignment::Skip => Action::Skip,
        Assignment::Arange if entry.dtype.float().is_none() => {
            check_arange(&entry, rule)?;
            Action::Arange
        }
        Assignment::Arange | Assignment::Spec => {
            let init = scope.read(&rule.text).map_err(scope_error)?;
            match entry.dtype.float() {
                Some(dtype) => {
                    let resolved = init.resolve(&entry.shape, dtype);
                    plan = Some(resolved.map_err(|error| spec_error(&entry, rule, error))?);
                }
                None => integer = Some(integer_value(&entry, rule, &init)?),
            }
            Action::Init(init)
        }
    };
    let tied = tie.and_then(|tie| tie.canonical.clone());
    let pattern = rule.pattern.text.clone();
    let location = Some(rule.span.location());
    Ok(Planned { entry, pattern, location, action, plan, integer, tied, chosen_dtype })
}

/// Checks that the tensor has an integer dtype, and that this dtype can store every index along the last axis.
fn check_arange(entry: &Entry, rule: &Rule<Assignment>) -> Result {
    let dtype = entry.dtype;
    let Some((_, max)) = dtype.integers() else {
        let message = format!("arange cannot be written as {dtype}");
        return Err(rule_error(entry, rule, message, "arange is for integer tensors: write a spec instead"));
    };
    let length = entry.shape.last().copied().unwrap_or(1);
    if length as i128 - 1 > max {
        let message = format!("the last axis has length {length}, but the maximum of {dtype} is {max}");
        return Err(rule_error(entry, rule, message, "write \"copy\" or \"skip\" instead"));
    }
    Ok(())
}

/// Returns the value that `init` gives to all elements of an integer tensor. Returns an error if `init` is not a
/// constant, or if the tensor's dtype cannot store the constant.
fn integer_value(entry: &Entry, rule: &Rule<Assignment>, init: &Init) -> Result<i128> {
    let dtype = entry.dtype;
    let Some((min, max)) = dtype.integers() else {
        let message = format!("fanin cannot draw values of dtype {dtype}");
        let remedy = "write \"copy\" or \"skip\" instead, or choose another dtype under [dtype]";
        return Err(rule_error(entry, rule, message, remedy));
    };
    let resolved = init.resolve(&entry.shape, DType::F64);
    let plan = resolved.map_err(|error| spec_error(entry, rule, error))?;
    let value = match plan.distribution() {
        Distribution::Constant { value } if value.fract() == 0.0 => Some(value as i128),
        _ => None,
    };
    value.filter(|value| (min..=max).contains(value)).ok_or_else(|| {
        let remedy = format!(
            "for an integer tensor, use zeros, ones, a constant that is a whole number from {min} to {max}, arange, \
             copy or skip"
        );
        rule_error(entry, rule, format!("{init} cannot be written as {dtype}"), &remedy)
    })
}

fn rule_error(entry: &Entry, rule: &Rule<Assignment>, message: String, remedy: &str) -> Error {
    rule.span.error(format!("{}: {message}", context(entry, rule)), remedy)
}

fn spec_error(entry: &Entry, rule: &Rule<Assignment>, error: fanin::Error) -> Error {
    rule.span.spec_error(&context(entry, rule), error)
}

fn context(entry: &Entry, rule: &Rule<Assignment>) -> String {
    format!("{:?} for {}", rule.pattern.text, entry.name)
}
