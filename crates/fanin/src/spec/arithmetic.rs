//! Arithmetic in specs: sums, products, powers, roots, variables and scaling factors.

use super::scanner::Scanner;
use crate::error::{SpecError, did_you_mean_or};
use crate::scaling::{ScalingFactor, scaling_factors};

impl Scanner<'_> {
    /// Reads an `expression` of the grammar and returns its value. The functions `term`, `unary`, `power` and `atom` do
    /// the same for the rules of the grammar with these names. The documentation of `spec/parser.rs` has the grammar.
    pub(super) fn expression(&mut self) -> Result<f64, SpecError> {
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
                    let help = "write a divisor that is not 0";
                    return self.error(at, "division by zero", Some(help.to_owned()));
                }
                product /= divisor;
            } else {
                return Ok(product);
            }
        }
    }

    fn unary(&mut self) -> Result<f64, SpecError> {
        self.enter()?;
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
            return self.number();
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
        if let Some(factor) = scaling_factors().iter().find(|factor| factor.name == name) {
            return self.scaling_factor(at, factor);
        }
        match name {
            "inf" => Ok(f64::INFINITY),
            "nan" => Ok(f64::NAN),
            "pi" => Ok(std::f64::consts::PI),
            _ => {
                let known = self.variables.names();
                let functions = scaling_factors().iter().map(|factor| factor.name);
                let candidates = known.iter().copied().chain(["sqrt", "inf", "pi"]).chain(functions);
                let help = did_you_mean_or(name, candidates, || match known.as_slice() {
                    [] => "write a number".to_owned(),
                    known => format!("the variables are {}", known.join(", ")),
                });
                self.error(at, format!("{name} is neither a number nor a variable"), Some(help))
            }
        }
    }

    /// Reads a literal number and returns its value.
    fn number(&mut self) -> Result<f64, SpecError> {
        let rest = self.rest();
        let at = self.at;
        let length = number_length(rest);
        self.at += length;
        let literal = &rest[..length];
        let digits = literal.replace('_', "");
        let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
        let zero = !mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
        match digits.parse::<f64>() {
            Ok(number) if number.is_infinite() => self.error(
                at,
                format!("{literal} is too large for an f64"),
                Some("write inf for infinity".to_owned()),
            ),
            Ok(number) if number == 0.0 && !zero => {
                self.error(at, format!("{literal} is too small for an f64"), Some("write 0".to_owned()))
            }
            Ok(number) => Ok(number),
            Err(_) => self.error(at, format!("{literal} is not a number"), None),
        }
    }

    /// Reads the arguments of `factor`, whose name begins at byte offset `at`, and returns the value of the factor.
    fn scaling_factor(&mut self, at: usize, factor: &ScalingFactor) -> Result<f64, SpecError> {
        let signature = format!("{}({})", factor.name, factor.parameters.join(", "));
        self.enter()?;
        let mut arguments = Vec::new();
        self.expect("(", &format!("after {}: write {signature}", factor.name))?;
        while !self.eat(")") {
            arguments.push(self.expression()?);
            if !self.eat(",") {
                self.expect(")", "or \",\" after an argument")?;
                break;
            }
        }
        self.depth -= 1;
        match factor.apply(&arguments) {
            Some(number) => Ok(number),
            None if arguments.len() != factor.parameters.len() => {
                let (expected, got) = (factor.parameters.len(), arguments.len());
                let message = format!("{} takes {expected} arguments, got {got}", factor.name);
                self.error(at, message, Some(format!("write {signature}")))
            }
            None => {
                let message = format!("{} is not defined for these arguments", factor.name);
                self.error(at, message, Some(format!("it is {}", factor.formula)))
            }
        }
    }
}

/// Returns the length in bytes of the number at the start of `text`. A number consists of digits, an optional decimal
/// point, and an optional exponent with or without a sign.
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
