//! The parser of specs.
//!
//! # Grammar
//!
//! Quoted text is literal. `[ ]` encloses an optional part. `{ }` encloses a part that occurs any number of times,
//! including zero. `|` separates alternatives.
//!
//! ```text
//! spec       = blocks | stacked | function | scheme
//! scheme     = name [ "_" ] [ "(" [ argument { "," argument } [ "," ] ] ")" ]
//! blocks     = "blocks" "(" block { "," block } [ "," "count" "=" expression ] [ "," "axis" "=" expression ] ")"
//! block      = [ expression ":" ] spec         the expression is the size of the block along the axis
//! stacked    = "stacked" "(" spec [ "," "axis" "=" expression ] ")"
//! function   = ( "log" | "exp" | "softplus_inverse" ) "(" spec ")"
//! argument   = [ key "=" ] value               positional arguments first, in torch's order
//! value      = expression | word
//! word       = name [ "(" expression ")" ] | "forward" "(" name ")" | "'" text "'" | '"' text '"'
//!                                              such as fan_out, leaky_relu(0.2), forward(tanh)
//! expression = term { ("+" | "-") term }
//! term       = unary { ("*" | "/") unary }
//! unary      = [ "+" | "-" ] unary | power
//! power      = atom [ ("^" | "**") unary ]
//! atom       = number | "inf" | "nan" | "NaN" | "pi" | variable | "(" expression ")"
//!            | [ "math" "." ] ( "sqrt" | "log" | "exp" | "abs" | "floor" ) "(" expression ")"
//!            | ( "min" | "max" ) "(" expression { "," expression } ")"
//!            | factor "(" expression { "," expression } ")"    a function of crate::scaling: gpt2_residual(n_layer)
//!            | ( "fan_in" | "fan_out" ) [ "(" layout ")" ] | "shape" "[" expression "]"      of the tensor
//!            | "index"                                         within stacked: the index of the tensor in the stack
//! ```
//!
//! Precedence and associativity are the same as in Python: `-2^2` is -4, and `2^3^2` is 512.
//!
//! A spec with a property of the tensor, such as `fan_in`, can be parsed before the shape is known. The value of the
//! property is then NaN, and parsing only finds mistakes. [`ByShape`] parses the spec again for each shape.

use std::collections::HashMap;

use super::arguments::{Arguments, Value};
use super::arithmetic::FUNCTIONS;
use super::registry::{canonical, schemes};
use super::scanner::{Scanner, TensorContext};
use super::scheme::Scheme;
use super::variables::Variables;
use crate::error::{SpecError, did_you_mean_or};
use crate::init::{Blocks, ByShape, Init, mapped, stacked};
use crate::plan::Function;
use crate::scaling::scaling_factors;

/// Parses a spec. Returns an error if other text follows the spec.
pub(super) fn parse(
    text: &str,
    variables: &dyn Variables,
    tensor: TensorContext<'_>,
) -> Result<Init, SpecError> {
    let mut parser = Scanner::new(text, variables, tensor);
    let init = parser.spec()?;
    if !parser.rest().is_empty() {
        return parser.error(parser.at, "unexpected text after the spec", Some("remove it".to_owned()));
    }
    Ok(init)
}

/// Parses an expression of numbers and variables, and returns its value. Returns an error if other text follows the
/// expression.
pub(super) fn evaluate(text: &str, variables: &dyn Variables) -> Result<f64, SpecError> {
    let mut parser = Scanner::new(text, variables, TensorContext::default());
    let value = parser.expression()?;
    if !parser.rest().is_empty() {
        return parser.error(parser.at, "unexpected text after the number", Some("remove it".to_owned()));
    }
    if parser.is_deferred {
        return parser.error(0, "a property of a tensor has no value here", None);
    }
    Ok(value)
}

impl Scanner<'_> {
    /// Parses a spec, which may be nested in another spec. Returns a [`ByShape`] if the spec uses properties of the
    /// tensor that are not known yet.
    fn spec(&mut self) -> Result<Init, SpecError> {
        self.enter()?;
        self.rest();
        let start = self.at;
        let init = self.unnested_spec()?;
        self.depth -= 1;
        if self.is_deferred { Ok(ByShape::new(self.substituted(start)).into()) } else { Ok(init) }
    }

    /// Parses a spec inside `blocks` or `stacked`. The properties of the block, such as `fan_in`, are not known yet.
    fn spec_of_part(&mut self, is_stacked: bool) -> Result<Init, SpecError> {
        let tensor = TensorContext { is_stacked, ..TensorContext::default() };
        let whole = std::mem::replace(&mut self.tensor, tensor);
        let is_deferred = std::mem::take(&mut self.is_deferred);
        let init = self.spec();
        (self.tensor, self.is_deferred) = (whole, is_deferred);
        init
    }

    /// Returns the text from the byte offset `start` to the current position, with variables replaced by their values.
    /// The names of tensor properties, such as `fan_in`, stay in the text.
    fn substituted(&self, start: usize) -> String {
        let mut text = String::new();
        let mut at = start;
        for (range, value) in self.substitutions.iter().filter(|(range, _)| range.start >= start) {
            text.push_str(&self.text[at..range.start]);
            text += &if *value < 0.0 { format!("({value})") } else { value.to_string() };
            at = range.end;
        }
        text.push_str(&self.text[at..self.at]);
        let name = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        canonical(&text[..name]).to_owned() + &text[name..]
    }

    /// Parses a spec. Only the caller, [`Scanner::spec`], counts the nesting depth and creates a [`ByShape`].
    fn unnested_spec(&mut self) -> Result<Init, SpecError> {
        self.rest();
        let start = self.at;
        let known = || schemes().iter().map(|scheme| scheme.name);
        let Some(name) = self.identifier() else {
            return self.error(
                start,
                "expected a scheme's name",
                Some("write a spec such as normal(std=0.02)".to_owned()),
            );
        };
        let bare = canonical(name);
        match bare {
            "blocks" => return self.blocks(),
            "stacked" => return self.stacked(),
            _ => {}
        }
        if let Some(function) = Function::ALL.into_iter().find(|function| function.name() == bare) {
            return self.function(function);
        }
        let Some(scheme) = schemes().iter().find(|scheme| scheme.name == bare) else {
            let help = did_you_mean_or(bare, known(), || {
                format!("use one of {}", known().collect::<Vec<_>>().join(", "))
            });
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
        (scheme.build)(&Arguments {
            text: self.text,
            end,
            scheme: scheme.name,
            values,
            is_deferred: self.is_deferred,
        })
    }

    /// Parses the part of a `blocks` spec after the word `blocks`.
    fn blocks(&mut self) -> Result<Init, SpecError> {
        self.expect(
            "(",
            "after blocks: write blocks(spec, spec), blocks(size: spec, size: spec) or blocks(spec, count=2)",
        )?;
        let mut blocks: Vec<(Option<usize>, Init)> = Vec::new();
        let (mut count, mut axis) = (None, None);
        while !self.eat(")") {
            self.rest();
            let at = self.at;
            match self.keyword(&["count", "axis"])? {
                Some(name) if (name == "count" && count.is_some()) || (name == "axis" && axis.is_some()) => {
                    let message = format!("{name} is given twice");
                    return self.error(at, message, Some("leave one of them out".to_owned()));
                }
                Some("count") => count = Some(self.integer("count", 1)? as usize),
                Some(_) => axis = Some(self.integer("axis", -8)? as isize),
                None => {
                    let size = self.block_size()?;
                    if let Some((first, _)) = blocks.first()
                        && first.is_some() != size.is_some()
                    {
                        let message = "either all blocks must have a size, or none";
                        return self.error(at, message, Some("write size: spec for each block".to_owned()));
                    }
                    blocks.push((size, self.spec_of_part(self.tensor.is_stacked)?));
                }
            }
            if !self.eat(",") {
                self.expect(")", "or \",\" after a block")?;
                break;
            }
        }
        match (blocks.as_slice(), count) {
            ([], _) => self.error(
                self.at,
                "blocks requires a spec",
                Some("such as blocks(orthogonal, count=3)".to_owned()),
            ),
            ([(None, _)], Some(_)) | (_, None) => {
                Ok(Blocks::from_spec(blocks, count, axis.unwrap_or(0)).into())
            }
            _ => self.error(
                self.at,
                "count requires exactly one spec, without a size",
                Some("such as blocks(orthogonal, count=3)".to_owned()),
            ),
        }
    }

    /// Parses the part of a `stacked` spec after the word `stacked`.
    fn stacked(&mut self) -> Result<Init, SpecError> {
        self.expect("(", "after stacked: write stacked(spec)")?;
        let each = self.spec_of_part(true)?;
        let mut axis = 0;
        if self.eat(",") && self.keyword(&["axis"])?.is_some() {
            axis = self.integer("axis", -8)?;
            self.eat(",");
        }
        self.expect(")", "or \", axis=...\" after the spec")?;
        Ok(stacked(each).axis(axis as isize).into())
    }

    /// Parses the spec in parentheses after the name of a function such as `log`.
    fn function(&mut self, function: Function) -> Result<Init, SpecError> {
        let name = function.name();
        self.expect("(", &format!("after {name}: write {name}(spec), such as {name}(uniform(1, 16))"))?;
        let argument = self.spec()?;
        self.expect(")", "after the spec")?;
        Ok(mapped(function, argument).into())
    }

    /// Parses `name =` and returns the name. The name must be in `known`. If the text does not continue with `name =`,
    /// reads nothing and returns `None`.
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
                format!("unknown argument {name}"),
                Some(format!("use {}", known.join(" or "))),
            ),
        }
    }

    /// Parses the size of a block, such as `64:`. If the text does not continue with a size and ":", reads nothing and
    /// returns `None`.
    fn block_size(&mut self) -> Result<Option<usize>, SpecError> {
        let (at, depth) = (self.at, self.depth);
        let mut lookahead = Scanner { at, depth, ..Scanner::new(self.text, self.variables, self.tensor) };
        if lookahead.expression().is_err() || !lookahead.eat(":") {
            return Ok(None);
        }
        let size = self.integer("a block's size", 0)?;
        self.eat(":");
        Ok(Some(size as usize))
    }

    /// Parses an expression whose value must be an integer of at least `min`. Returns `min` if the value is not known
    /// yet. `name` is the name of the value in error messages.
    fn integer(&mut self, name: &str, min: i64) -> Result<i64, SpecError> {
        self.rest();
        let at = self.at;
        let number = self.expression()?;
        if number.is_nan() && self.is_deferred {
            return Ok(min);
        }
        let fits = number.fract() == 0.0 && number >= min as f64 && number < (1u64 << 53) as f64;
        if fits {
            Ok(number as i64)
        } else {
            self.error(at, format!("{name} = {number} must be an integer of at least {min}"), None)
        }
    }

    /// Parses an argument and inserts it into `values`. A named argument sets `keywords` to true. A positional argument
    /// after a named argument is an error.
    fn argument(
        &mut self,
        scheme: &'static Scheme,
        values: &mut HashMap<&'static str, (usize, Value)>,
        keywords: &mut bool,
    ) -> Result<(), SpecError> {
        self.rest();
        let start = self.at;
        let parameter = self.parameter(scheme, values.len(), keywords)?;
        self.rest();
        let at = self.at;
        let value = match parameter {
            "mode" | "nonlinearity" | "method" | "layout" | "distribution" | "corrected" => self.word()?,
            // The gain is either the name of a nonlinearity or an expression.
            "gain" => match self.word() {
                Ok(Value::Word(name, _)) if self.begins_expression(&name) => {
                    self.at = at;
                    Value::Number(self.expression()?)
                }
                Ok(word) => word,
                Err(_) => {
                    self.at = at;
                    Value::Number(self.expression()?)
                }
            },
            _ => Value::Number(self.expression()?),
        };
        if values.insert(parameter, (at, value)).is_some() {
            let help = Some("leave one of them out".to_owned());
            return self.error(start, format!("{parameter} is given twice"), help);
        }
        Ok(())
    }

    /// Returns the parameter of the next argument: `key` if the text continues with `key =`, otherwise the parameter at
    /// `position`. Reads `key =`, but not the value.
    fn parameter(
        &mut self,
        scheme: &'static Scheme,
        position: usize,
        keywords: &mut bool,
    ) -> Result<&'static str, SpecError> {
        let start = self.at;
        let names = || scheme.parameters.iter().map(|(name, _)| *name);
        let signature = || match names().collect::<Vec<_>>().as_slice() {
            [] => format!("{} takes no arguments", scheme.name),
            names => format!("{} takes {}", scheme.name, names.join(", ")),
        };
        if let Some(key) = self.identifier().filter(|_| self.eat("=")) {
            *keywords = true;
            return match names().find(|name| *name == key) {
                Some(name) => Ok(name),
                None => {
                    let help = did_you_mean_or(key, names(), signature);
                    self.error(start, format!("{} has no argument {key}", scheme.name), Some(help))
                }
            };
        }
        self.at = start;
        if *keywords {
            let message = "a positional argument cannot follow a named one";
            return self.error(start, message, Some(signature()));
        }
        match scheme.parameters.get(position) {
            Some((name, _)) => Ok(name),
            None => self.error(start, "too many arguments", Some(signature())),
        }
    }

    /// Returns true if an expression can begin with `name`, such as `sqrt`, `pi`, a variable or a scaling factor. Any
    /// other name is the name of a nonlinearity.
    fn begins_expression(&self, name: &str) -> bool {
        ["sqrt", "math", "inf", "nan", "NaN", "pi"].contains(&name)
            || FUNCTIONS.contains(&name)
            || ["fan_in", "fan_out", "shape", "index"].contains(&name)
            || self.variables.get(name).is_some()
            || scaling_factors().iter().any(|factor| factor.name == name)
    }

    /// Parses a word, which is the name of an option or of a nonlinearity, with or without quotes.
    fn word(&mut self) -> Result<Value, SpecError> {
        let start = self.at;
        for quote in ["'", "\""] {
            if self.eat(quote) {
                let Some(length) = self.text[self.at..].find(quote) else {
                    return self.error(
                        start,
                        "the quote is not closed",
                        Some(format!("write {quote} at the end of the name")),
                    );
                };
                let word = self.text[self.at..self.at + length].to_owned();
                self.at += length + 1;
                return Ok(Value::Word(word, None));
            }
        }
        let Some(word) = self.identifier() else {
            return self.error(self.at, "expected a name", None);
        };
        if ["leaky_relu", "sine"].contains(&word) && self.eat("(") {
            self.eat(if word == "sine" { "omega=" } else { "negative_slope=" });
            let parameter = self.expression()?;
            self.expect(")", "after the number")?;
            return Ok(Value::Word(word.to_owned(), Some(parameter)));
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
