//! The numbers of a spec: sums, products, powers, roots, variables and rules.

use super::scanner::{DEEPEST, Scanner};
use crate::error::{SpecError, nearest};
use crate::scaling::{Rule, rules};

impl Scanner<'_> {
    /// A sum: the whole of an expression.
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
