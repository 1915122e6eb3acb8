//! The spec grammar: `kaiming_normal(mode=fan_out, nonlinearity=relu)`.
//!
//! ```text
//! spec       = blocks | stacked | name [ "_" ] [ "(" [ argument { "," argument } [ "," ] ] ")" ]
//! blocks     = "blocks" "(" part { "," part } [ "," "parts" "=" expression ] [ "," "axis" "=" expression ] ")"
//! part       = [ expression ":" ] spec         the block's size along the axis, and what it gets
//! stacked    = "stacked" "(" spec [ "," "axis" "=" expression ] ")"
//! argument   = [ key "=" ] value               positional ones first, in torch's order
//! value      = expression | word               a word: fan_out, relu, leaky_relu(0.2), forward(tanh), 'fan_out'
//! expression = term { ("+" | "-") term }
//! term       = unary { ("*" | "/") unary }
//! unary      = [ "+" | "-" ] power
//! power      = atom [ ("^" | "**") unary ]
//! atom       = number | "inf" | "pi" | variable | "sqrt" "(" expression ")" | "(" expression ")"
//!            | rule "(" expression { "," expression } ")"      a function of crate::scaling: gpt2_residual(n_layer)
//! ```

use std::collections::HashMap;

use super::arguments::{Arguments, Value};
use super::registry::{ALIASES, schemes};
use super::scanner::{DEEPEST, Scanner};
use super::scheme::Scheme;
use super::variables::Variables;
use crate::error::{SpecError, nearest};
use crate::init::{Blocks, Init, stacked};
use crate::scaling::rules;

/// Reads a spec.
pub(super) fn parse(text: &str, variables: &dyn Variables) -> Result<Init, SpecError> {
    let mut parser = Scanner { text, at: 0, depth: 0, variables };
    let init = parser.spec()?;
    if !parser.rest().is_empty() {
        return parser.error(parser.at, "nothing may follow the spec", None);
    }
    Ok(init)
}

impl Scanner<'_> {
    fn spec(&mut self) -> Result<Init, SpecError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.error(self.at, format!("nested more than {DEEPEST} deep"), None);
        }
        let init = self.spec_here();
        self.depth -= 1;
        init
    }

    fn spec_here(&mut self) -> Result<Init, SpecError> {
        self.rest();
        let start = self.at;
        let known = || schemes().iter().map(|scheme| scheme.name);
        let Some(name) = self.identifier() else {
            return self.error(
                start,
                "expected a scheme's name",
                Some("such as normal(std=0.02)".to_owned()),
            );
        };
        let bare = name.strip_suffix('_').unwrap_or(name);
        let bare = ALIASES.iter().find(|(alias, _)| *alias == bare).map_or(bare, |(_, name)| name);
        match bare {
            "blocks" => return self.blocks(),
            "stacked" => return self.stacked(),
            _ => {}
        }
        let Some(scheme) = schemes().iter().find(|scheme| scheme.name == bare) else {
            let help = match nearest(bare, known()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("use one of {}", known().collect::<Vec<_>>().join(", ")),
            };
            return self.error(start, format!("unknown scheme {name}"), Some(help));
        };
        let mut values = HashMap::new();
        if self.eat("(") {
            let mut keywords = false;
            while !self.eat(")") {
                self.argument(scheme, &mut values, &mut keywords)?;
                if !self.eat(",") {
                    self.expect(")", "or \",\" after an argument")?;
                    break;
                }
            }
        }
        let end = self.at;
        (scheme.build)(&Arguments { text: self.text, end, scheme: scheme.name, values })
    }

    /// What follows the word `blocks`.
    fn blocks(&mut self) -> Result<Init, SpecError> {
        self.expect(
            "(",
            "after blocks: write blocks(spec, spec), blocks(size: spec, size: spec) or blocks(spec, parts=2)",
        )?;
        let mut parts: Vec<(Option<usize>, Init)> = Vec::new();
        let (mut count, mut axis) = (None, 0);
        while !self.eat(")") {
            self.rest();
            let at = self.at;
            match self.keyword(&["parts", "axis"])? {
                Some("parts") if count.is_some() => return self.error(at, "parts is given twice", None),
                Some("parts") => count = Some(self.whole_number("parts", 1)? as usize),
                Some(_) => axis = self.whole_number("axis", -8)? as isize,
                None => {
                    let size = self.size_of_block()?;
                    if let Some((first, _)) = parts.first()
                        && first.is_some() != size.is_some()
                    {
                        let message = "either all blocks have a size or none has";
                        return self.error(at, message, Some("write size: spec for each".to_owned()));
                    }
                    parts.push((size, self.spec()?));
                }
            }
            if !self.eat(",") {
                self.expect(")", "or \",\" after a block")?;
                break;
            }
        }
        match (parts.as_slice(), count) {
            ([], _) => self.error(
                self.at,
                "blocks needs a spec",
                Some("such as blocks(orthogonal, parts=3)".to_owned()),
            ),
            ([(None, _)], Some(_)) | (_, None) => Ok(Blocks::from_spec(parts, count, axis).into()),
            _ => self.error(self.at, "parts says how many blocks one spec without a size makes", None),
        }
    }

    /// What follows the word `stacked`.
    fn stacked(&mut self) -> Result<Init, SpecError> {
        self.expect("(", "after stacked: write stacked(spec)")?;
        let each = self.spec()?;
        let mut axis = 0;
        if self.eat(",") && self.keyword(&["axis"])?.is_some() {
            axis = self.whole_number("axis", -8)?;
            self.eat(",");
        }
        self.expect(")", "or \", axis=...\" after the spec")?;
        Ok(stacked(each).axis(axis as isize).into())
    }

    /// One of these names before a "=", if that is what comes.
    fn keyword(&mut self, known: &[&'static str]) -> Result<Option<&'static str>, SpecError> {
        self.rest();
        let at = self.at;
        let Some(name) = self.identifier().filter(|_| self.eat("=")) else {
            self.at = at;
            return Ok(None);
        };
        match known.iter().find(|known| **known == name) {
            Some(found) => Ok(Some(found)),
            None => self.error(
                at,
                format!("there is no argument {name} here"),
                Some(format!("use {}", known.join(" or "))),
            ),
        }
    }

    /// The expression before a ":", if that is what comes: a block's size.
    fn size_of_block(&mut self) -> Result<Option<usize>, SpecError> {
        let (at, depth) = (self.at, self.depth);
        let mut ahead = Scanner { text: self.text, at, depth, variables: self.variables };
        if ahead.expression().is_err() || !ahead.eat(":") {
            return Ok(None);
        }
        let size = self.whole_number("a block's size", 0)?;
        self.eat(":");
        Ok(Some(size as usize))
    }

    fn whole_number(&mut self, name: &str, least: i64) -> Result<i64, SpecError> {
        self.rest();
        let at = self.at;
        let number = self.expression()?;
        let fits = number.fract() == 0.0 && number >= least as f64 && number < (1u64 << 53) as f64;
        if fits {
            Ok(number as i64)
        } else {
            self.error(at, format!("{name} = {number} is not a whole number from {least} on"), None)
        }
    }

    fn argument(
        &mut self,
        scheme: &'static Scheme,
        values: &mut HashMap<&'static str, (usize, Value)>,
        keywords: &mut bool,
    ) -> Result<(), SpecError> {
        self.rest();
        let start = self.at;
        let key = self.identifier().filter(|_| self.rest().starts_with('=') && self.eat("="));
        let takes = || {
            let names: Vec<&str> = scheme.parameters.iter().map(|(name, _)| *name).collect();
            match names.as_slice() {
                [] => format!("{} takes no arguments", scheme.name),
                names => format!("{} takes {}", scheme.name, names.join(", ")),
            }
        };
        let parameter = match key {
            Some(key) => {
                *keywords = true;
                let Some((name, _)) = scheme.parameters.iter().find(|(name, _)| *name == key) else {
                    let help = match nearest(key, scheme.parameters.iter().map(|(name, _)| *name)) {
                        Some(name) => format!("did you mean {name}?"),
                        None => takes(),
                    };
                    return self.error(start, format!("{} has no argument {key}", scheme.name), Some(help));
                };
                *name
            }
            None => {
                self.at = start;
                if *keywords {
                    let message = "a positional argument cannot follow a named one";
                    return self.error(start, message, Some(takes()));
                }
                match scheme.parameters.get(values.len()) {
                    Some((name, _)) => *name,
                    None => return self.error(start, "too many arguments", Some(takes())),
                }
            }
        };
        self.rest();
        let at = self.at;
        let value = match parameter {
            "mode" | "nonlinearity" | "method" | "layout" | "distribution" | "corrected" => self.word()?,
            "gain" => {
                let word = self.word();
                match word {
                    Ok(Value::Word(ref name, _)) if self.is_arithmetic(name) => {
                        self.at = at;
                        Value::Number(self.expression()?)
                    }
                    Ok(word) => word,
                    Err(_) => {
                        self.at = at;
                        Value::Number(self.expression()?)
                    }
                }
            }
            _ => Value::Number(self.expression()?),
        };
        if values.insert(parameter, (at, value)).is_some() {
            return self.error(start, format!("{parameter} is given twice"), None);
        }
        Ok(())
    }

    /// Whether a name begins an expression rather than being a word.
    fn is_arithmetic(&self, name: &str) -> bool {
        ["sqrt", "math", "inf", "nan", "pi"].contains(&name)
            || self.variables.get(name).is_some()
            || rules().iter().any(|rule| rule.name == name)
    }

    fn word(&mut self) -> Result<Value, SpecError> {
        let start = self.at;
        for quote in ["'", "\""] {
            if self.eat(quote) {
                let Some(length) = self.text[self.at..].find(quote) else {
                    return self.error(start, "the quote is not closed", None);
                };
                let word = self.text[self.at..self.at + length].to_owned();
                self.at += length + 1;
                return Ok(Value::Word(word, None));
            }
        }
        let Some(word) = self.identifier() else {
            return self.error(self.at, "expected a name", None);
        };
        if word == "leaky_relu" && self.eat("(") {
            self.eat("negative_slope=");
            let slope = self.expression()?;
            self.expect(")", "after the slope")?;
            return Ok(Value::Word(word.to_owned(), Some(slope)));
        }
        if word == "forward" && self.eat("(") {
            let Some(inner) = self.identifier() else {
                return self.error(self.at, "expected a nonlinearity's name", None);
            };
            self.expect(")", "after the nonlinearity")?;
            return Ok(Value::Word(format!("forward({inner})"), None));
        }
        Ok(Value::Word(word.to_owned(), None))
    }
}
