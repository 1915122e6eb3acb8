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
//!            | rule "(" expression { "," expression } ")"      a function of crate::rules: gpt2_residual(n_layer)
//! ```

use std::collections::{BTreeMap, HashMap};

use super::blocks::{Blocks, stacked};
use super::families::{ALIASES, Family, families};
use super::spec::Init;
use crate::activation::Activation;
use crate::error::{Error, SpecError, nearest};
use crate::gain::{Gain, Nonlinearity};
use crate::rules::{Rule, rules};
use crate::shape::Layout;

/// Named numbers that a spec's arithmetic may use.
pub trait Variables {
    /// The number called `name`.
    fn get(&self, name: &str) -> Option<f64>;

    /// Every name there is, for "did you mean".
    fn names(&self) -> Vec<&str>;
}

/// No variables at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _: &str) -> Option<f64> {
        None
    }

    fn names(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Variables for BTreeMap<String, f64> {
    fn get(&self, name: &str) -> Option<f64> {
        BTreeMap::get(self, name).copied()
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(String::as_str).collect()
    }
}

/// A parsed value, not yet known to be of the right kind.
pub(super) enum Value {
    Number(f64),
    /// A name, with the number in its parentheses.
    Word(String, Option<f64>),
}

/// The arguments of one spec, by name, with where each value stands.
pub(super) struct Arguments<'a> {
    text: &'a str,
    end: usize,
    family: &'static str,
    pub(super) values: HashMap<&'static str, (usize, Value)>,
}

impl Arguments<'_> {
    pub(super) fn error(&self, at: usize, message: String) -> SpecError {
        SpecError { text: self.text.to_owned(), at, message, help: None }
    }

    pub(super) fn number(&self, name: &'static str, default: f64) -> Result<f64, SpecError> {
        match self.values.get(name) {
            None => Ok(default),
            Some((_, Value::Number(number))) => Ok(*number),
            Some((at, Value::Word(word, _))) => {
                Err(self.error(*at, format!("{}: {name} = {word} is not a number", self.family)))
            }
        }
    }

    pub(super) fn required(&self, name: &'static str) -> Result<f64, SpecError> {
        if self.values.contains_key(name) {
            return self.number(name, 0.0);
        }
        Err(SpecError {
            help: Some(format!("write {}({name}=...)", self.family)),
            ..self.error(self.end, format!("{} needs the argument {name}", self.family))
        })
    }

    pub(super) fn count(&self, name: &'static str, default: usize) -> Result<usize, SpecError> {
        let number = self.number(name, default as f64)?;
        if number >= 0.0 && number < (1u64 << 53) as f64 && number.fract() == 0.0 {
            return Ok(number as usize);
        }
        let at = self.values.get(name).map_or(0, |(at, _)| *at);
        Err(self.error(at, format!("{}: {name} = {number} is not a count", self.family)))
    }

    pub(super) fn word(&self, name: &str) -> Option<(usize, &str, Option<f64>)> {
        match self.values.get(name)? {
            (at, Value::Word(word, number)) => Some((*at, word, *number)),
            (at, Value::Number(_)) => Some((*at, "", None)),
        }
    }

    pub(super) fn choice<T: Copy, const N: usize>(
        &self,
        parameter: &'static str,
        choices: [T; N],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, SpecError> {
        let Some((at, word, _)) = self.word(parameter) else { return Ok(None) };
        if let Some(choice) = choices.into_iter().find(|&choice| name(choice) == word) {
            return Ok(Some(choice));
        }
        let names = choices.map(name);
        let help = match nearest(word, names) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("use one of {}", names.join(", ")),
        };
        let message = format!("{}: {parameter} = {word} is not known", self.family);
        Err(SpecError { help: Some(help), ..self.error(at, message) })
    }

    pub(super) fn layout(&self) -> Result<Layout, SpecError> {
        let Some((at, word, _)) = self.word("layout") else { return Ok(Layout::default()) };
        word.parse().map_err(|error| match error {
            Error::LayoutName { suggestion, .. } => SpecError {
                help: Some(match suggestion {
                    Some(name) => format!("did you mean {name}?"),
                    None => {
                        let names = Layout::ALL.map(Layout::name).join(", ");
                        format!("use one of {names}, or one letter an axis (o, i, k, e) such as oikk or eoi")
                    }
                }),
                ..self.error(at, format!("{}: layout = {word} is not known", self.family))
            },
            other => self.error(at, other.to_string()),
        })
    }

    pub(super) fn truth(&self, parameter: &'static str) -> Result<bool, SpecError> {
        let name = |truth| if truth { "true" } else { "false" };
        Ok(self.choice(parameter, [true, false], name)?.unwrap_or_default())
    }

    pub(super) fn groups(&self) -> Result<usize, SpecError> {
        self.count("groups", 1)
    }

    pub(super) fn gain(&self) -> Result<Gain, SpecError> {
        match self.values.get("gain") {
            Some((at, Value::Word(word, slope))) => Nonlinearity::from_spec(word, *slope)
                .map(Gain::Of)
                .map_err(|error| self.nonlinearity_error(*at, &error)),
            _ => Ok(Gain::Value(self.number("gain", 1.0)?)),
        }
    }

    pub(super) fn nonlinearity_error(&self, at: usize, error: &Error) -> SpecError {
        let (message, help) = match error {
            Error::Nonlinearity { name, suggestion } => (
                format!("Unsupported nonlinearity {name}"),
                match suggestion {
                    Some(suggestion) => format!("did you mean {suggestion}?"),
                    None => {
                        let names: Vec<_> =
                            Nonlinearity::names().chain(Activation::ALL.map(Activation::name)).collect();
                        format!("use one of {}", names.join(", "))
                    }
                },
            ),
            other => (other.to_string(), String::new()),
        };
        SpecError { help: Some(help), ..self.error(at, message) }
    }
}

/// Parentheses and signs may nest this deep: enough for people, and the stack is safe from the rest.
const DEEPEST: usize = 64;

/// Reads a spec.
pub(super) fn parse(text: &str, variables: &dyn Variables) -> Result<Init, SpecError> {
    let mut parser = Parser { text, at: 0, depth: 0, variables };
    let init = parser.spec()?;
    if !parser.rest().is_empty() {
        return parser.error(parser.at, "nothing may follow the spec", None);
    }
    Ok(init)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    variables: &'a dyn Variables,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, at: usize, message: impl Into<String>, help: Option<String>) -> Result<T, SpecError> {
        Err(SpecError { text: self.text.to_owned(), at, message: message.into(), help })
    }

    /// The rest of the text, white space skipped.
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str, context: &str) -> Result<(), SpecError> {
        if self.eat(token) {
            return Ok(());
        }
        let found = match self.rest().chars().next() {
            Some(character) => format!("found {character:?}"),
            None => "the text ends here".to_owned(),
        };
        self.error(self.at, format!("expected {token:?} {context}, {found}"), None)
    }

    fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        Some(&rest[..end])
    }

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
        let known = || families().iter().map(|family| family.name);
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
        let Some(family) = families().iter().find(|family| family.name == bare) else {
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
                self.argument(family, &mut values, &mut keywords)?;
                if !self.eat(",") {
                    self.expect(")", "or \",\" after an argument")?;
                    break;
                }
            }
        }
        let end = self.at;
        (family.build)(&Arguments { text: self.text, end, family: family.name, values })
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
        let mut ahead = Parser { text: self.text, at, depth, variables: self.variables };
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
        family: &'static Family,
        values: &mut HashMap<&'static str, (usize, Value)>,
        keywords: &mut bool,
    ) -> Result<(), SpecError> {
        self.rest();
        let start = self.at;
        let key = self.identifier().filter(|_| self.rest().starts_with('=') && self.eat("="));
        let takes = || {
            let names: Vec<&str> = family.parameters.iter().map(|(name, _)| *name).collect();
            match names.as_slice() {
                [] => format!("{} takes no arguments", family.name),
                names => format!("{} takes {}", family.name, names.join(", ")),
            }
        };
        let parameter = match key {
            Some(key) => {
                *keywords = true;
                let Some((name, _)) = family.parameters.iter().find(|(name, _)| *name == key) else {
                    let help = match nearest(key, family.parameters.iter().map(|(name, _)| *name)) {
                        Some(name) => format!("did you mean {name}?"),
                        None => takes(),
                    };
                    return self.error(start, format!("{} has no argument {key}", family.name), Some(help));
                };
                *name
            }
            None => {
                self.at = start;
                if *keywords {
                    let message = "a positional argument cannot follow a named one";
                    return self.error(start, message, Some(takes()));
                }
                match family.parameters.get(values.len()) {
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

    fn expression(&mut self) -> Result<f64, SpecError> {
        let mut sum = self.term()?;
        loop {
            if self.eat("+") {
                sum += self.term()?;
            } else if self.eat("-") {
                sum -= self.term()?;
            } else {
                return Ok(sum);
            }
        }
    }

    fn term(&mut self) -> Result<f64, SpecError> {
        let mut product = self.unary()?;
        loop {
            let at = self.at;
            if self.rest().starts_with("**") {
                return Ok(product);
            } else if self.eat("*") {
                product *= self.unary()?;
            } else if self.eat("/") {
                let divisor = self.unary()?;
                if divisor == 0.0 {
                    let help = "write a divisor that is not 0, or mend the variable that is";
                    return self.error(at, "division by zero", Some(help.to_owned()));
                }
                product /= divisor;
            } else {
                return Ok(product);
            }
        }
    }

    fn unary(&mut self) -> Result<f64, SpecError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.error(self.at, format!("nested more than {DEEPEST} deep"), None);
        }
        let value = if self.eat("-") {
            -self.unary()?
        } else if self.eat("+") {
            self.unary()?
        } else {
            self.power()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn power(&mut self) -> Result<f64, SpecError> {
        let at = self.at;
        let base = self.atom()?;
        if !(self.eat("**") || self.eat("^")) {
            return Ok(base);
        }
        let power = libm::pow(base, self.unary()?);
        if power.is_nan() {
            return self.error(at, "this power is not a real number", None);
        }
        Ok(power)
    }

    fn atom(&mut self) -> Result<f64, SpecError> {
        if self.eat("(") {
            let value = self.expression()?;
            self.expect(")", "to close the parenthesis")?;
            return Ok(value);
        }
        let rest = self.rest();
        let at = self.at;
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let length = number_length(rest);
            self.at += length;
            let digits = rest[..length].replace('_', "");
            let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
            let zero = !mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
            return match digits.parse::<f64>() {
                Ok(number) if number.is_infinite() => {
                    self.error(at, format!("{} is too large for an f64", &rest[..length]), None)
                }
                Ok(number) if number == 0.0 && !zero => {
                    self.error(at, format!("{} is too small for an f64", &rest[..length]), None)
                }
                Ok(number) => Ok(number),
                Err(_) => self.error(at, format!("{} is not a number", &rest[..length]), None),
            };
        }
        let Some(mut name) = self.identifier() else {
            return self.error(at, "expected a number", None);
        };
        if name == "math" && self.eat(".") {
            name = self.identifier().unwrap_or_default();
        }
        if name == "sqrt" && self.rest().starts_with('(') {
            self.eat("(");
            let value = self.expression()?;
            self.expect(")", "after the argument of sqrt")?;
            if value < 0.0 {
                return self.error(at, format!("sqrt of {value}, which is negative"), None);
            }
            return Ok(value.sqrt());
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value);
        }
        if let Some(rule) = rules().iter().find(|rule| rule.name == name) {
            return self.rule(at, rule);
        }
        match name {
            "inf" => Ok(f64::INFINITY),
            "nan" => Ok(f64::NAN),
            "pi" => Ok(std::f64::consts::PI),
            _ => {
                let known = self.variables.names();
                let others = ["sqrt", "inf", "pi"].into_iter().chain(rules().iter().map(|rule| rule.name));
                let help = match nearest(name, known.iter().copied().chain(others)) {
                    Some(name) => format!("did you mean {name}?"),
                    None if known.is_empty() => "write a number".to_owned(),
                    None => format!("the variables are {}", known.join(", ")),
                };
                self.error(at, format!("{name} is neither a number nor a variable"), Some(help))
            }
        }
    }
}

impl Parser<'_> {
    /// The arguments of a rule and its number.
    fn rule(&mut self, at: usize, rule: &Rule) -> Result<f64, SpecError> {
        let takes = format!("{}({})", rule.name, rule.parameters.join(", "));
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.error(at, format!("nested more than {DEEPEST} deep"), None);
        }
        let mut arguments = Vec::new();
        self.expect("(", &format!("after {}: it is {takes}", rule.name))?;
        while !self.eat(")") {
            arguments.push(self.expression()?);
            if !self.eat(",") {
                self.expect(")", "or \",\" after an argument")?;
                break;
            }
        }
        self.depth -= 1;
        match rule.apply(&arguments) {
            Some(number) => Ok(number),
            None if arguments.len() != rule.parameters.len() => self.error(
                at,
                format!("{} takes {} arguments", rule.name, rule.parameters.len()),
                Some(takes),
            ),
            None => self.error(
                at,
                format!("{} has no value for these numbers", rule.name),
                Some(rule.formula.to_owned()),
            ),
        }
    }
}

/// How much of `text` is one number: digits, a point, and an exponent with its sign.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(|c| c.is_ascii_digit() || *c == b'_') {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}
