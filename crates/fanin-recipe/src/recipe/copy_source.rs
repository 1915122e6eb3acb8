//! Resolves a `copy` rule for one parameter.

use super::copy::{Copy, CopyRule, Rest};
use super::rule::Pattern;
use super::scope::{Scope, ScopeError};

/// An error in a `copy` rule.
pub(super) enum CopyError {
    Scope(ScopeError),
    Template(String),
}

/// Computes the name of the source tensor, and parses `rest`. `matched` is the canonical name of the parameter, which
/// `pattern` matches.
pub(super) fn resolve(
    rule: &CopyRule,
    pattern: &Pattern,
    matched: &str,
    scope: &Scope<'_>,
) -> Result<Copy, CopyError> {
    let from =
        rule.from.as_ref().map(|template| source_name(template, pattern, matched, scope)).transpose()?;
    let rest = match rule.rest.as_deref() {
        None => None,
        Some("mean_resizing") => Some(Rest::MeanResizing),
        Some(spec) => Some(Rest::Init(scope.read(spec).map_err(CopyError::Scope)?)),
    };
    Ok(Copy { from, rest })
}

/// Returns the name of the source tensor. `$1`, `$2`, ... in the template are replaced by the texts that the wildcards
/// of the pattern match. An expression in braces is replaced by its value.
fn source_name(
    template: &str,
    pattern: &Pattern,
    matched: &str,
    scope: &Scope<'_>,
) -> Result<String, CopyError> {
    let captures = pattern.matcher.as_ref().and_then(|glob| glob.captures(matched)).unwrap_or_default();
    let mut name = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['$', '{']) {
        name.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if rest[at..].starts_with('{') {
            let Some((expression, next)) = after.split_once('}') else {
                return Err(CopyError::Template(format!("'{{' without '}}' in {template:?}")));
            };
            let number = scope.evaluate(expression).map_err(CopyError::Scope)?;
            if number.fract() != 0.0 || !(0.0..9e15).contains(&number) {
                return Err(CopyError::Template(format!(
                    "{expression} is {number}, but must be a whole number of at least 0"
                )));
            }
            name += &number.to_string();
            rest = next;
        } else {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let capture =
                after[..digits].parse::<usize>().ok().and_then(|number| captures.get(number.checked_sub(1)?));
            let Some(capture) = capture else {
                let (found, count) = (&after[..digits], captures.len());
                return Err(CopyError::Template(format!(
                    "${found} is not one of the {count} wildcards of {:?}: use $1, $2, ...",
                    pattern.text
                )));
            };
            name.push_str(capture);
            rest = &after[digits..];
        }
    }
    name.push_str(rest);
    Ok(name)
}
