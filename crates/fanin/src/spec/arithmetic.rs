//! Arithmetic in specs: sums, products, powers, functions, variables, properties of the tensor and scaling factors.

use super::scanner::Scanner;
use crate::error::{SpecError, did_you_mean_or};
use crate::scaling::{ScalingFactor, scaling_factors};
use crate::shape::AxisLayout;

/// The names of the functions of one or more numbers.
pub(super) const FUNCTIONS: [&str; 7] = ["sqrt", "log", "exp", "abs", "floor", "min", "max"];

impl Scanner<'_> {
    /// Parses an `expression` of the grammar in `spec/parser.rs`, and returns its value. The functions `term`, `unary`,
    /// `power` and `atom` do the same for the grammar rules with these names.
    pub(super) fn expression(&mut self) -> Result<f64, SpecError> {
        let mut sum = self.term()?;
        loop {
            let at = self.at;
            let sign = if self.eat("+") {
                1.0
            } else if self.eat("-") {
                -1.0
            } else {
                return Ok(sum);
            };
            let term = self.term()?;
            sum = self.finite_if(at, sum + sign * term, &[sum, term])?;
        }
    }

    /// Returns `result`. Returns an error if finite operands give infinity, or if the result is NaN but no operand is
    /// NaN. A NaN operand can be a number that is not known yet.
    fn finite_if(&self, at: usize, result: f64, operands: &[f64]) -> Result<f64, SpecError> {
        let are_finite = operands.iter().all(|operand| operand.is_finite());
        if result.is_infinite() && are_finite {
            let help = "write inf for infinity";
            return self.error(at, "the result is too large for an f64", Some(help.to_owned()));
        }
        if result.is_nan() && !operands.iter().any(|operand| operand.is_nan()) {
            return self.error(at, "the result is not a number", None);
        }
        Ok(result)
    }

    fn term(&mut self) -> Result<f64, SpecError> {
        let mut product = self.unary()?;
        loop {
            let at = self.at;
            if self.rest().starts_with("**") {
                return Ok(product);
            } else if self.eat("*") {
                let factor = self.unary()?;
                product = self.finite_if(at, product * factor, &[product, factor])?;
            } else if self.eat("/") {
                let divisor = self.unary()?;
                if divisor == 0.0 {
                    let help = "write a divisor that is not 0";
                    return self.error(at, "division by zero", Some(help.to_owned()));
                }
                product = self.finite_if(at, product / divisor, &[product, divisor])?;
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
        let exponent = self.unary()?;
        let power = libm::pow(base, exponent);
        if power.is_nan() && !base.is_nan() && !exponent.is_nan() {
            return self.error(at, "this power is not a real number", None);
        }
        self.finite_if(at, power, &[base, exponent])
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
        if FUNCTIONS.contains(&name) && self.rest().starts_with('(') {
            return self.function_of_numbers(at, name);
        }
        if let Some(value) = self.variables.get(name) {
            self.substitutions.push((at..self.at, value));
            return Ok(value);
        }
        if let Some(property) = self.property_of_tensor(at, name)? {
            return Ok(property);
        }
        if let Some(factor) = scaling_factors().iter().find(|factor| factor.name == name) {
            return self.scaling_factor(at, factor);
        }
        match name {
            "inf" => Ok(f64::INFINITY),
            // `NaN` is accepted, because `Display` prints a NaN argument of an initializer in this spelling.
            "nan" | "NaN" => Ok(f64::NAN),
            "pi" => Ok(std::f64::consts::PI),
            _ => {
                let known = self.variables.names();
                let functions = scaling_factors().iter().map(|factor| factor.name);
                let candidates = known
                    .iter()
                    .copied()
                    .chain(["inf", "pi", "fan_in", "fan_out", "shape"])
                    .chain(FUNCTIONS)
                    .chain(functions);
                let help = did_you_mean_or(name, candidates, || match known.as_slice() {
                    [] => "write a number".to_owned(),
                    known => format!("the variables are {}", known.join(", ")),
                });
                self.error(at, format!("{name} is neither a number nor a variable"), Some(help))
            }
        }
    }

    /// Parses the arguments of the function `name` and returns the result. `at` is the byte offset of the name.
    fn function_of_numbers(&mut self, at: usize, name: &str) -> Result<f64, SpecError> {
        let arguments = self.numbers()?;
        let several = ["min", "max"].contains(&name);
        let [first, rest @ ..] = arguments.as_slice() else {
            return self.error(at, format!("{name} needs a number"), Some(format!("write {name}(2)")));
        };
        if !several && !rest.is_empty() {
            let message = format!("{name} takes 1 argument, got {}", arguments.len());
            return self.error(at, message, None);
        }
        match name {
            "sqrt" if *first < 0.0 => self.error(at, format!("sqrt of {first}, which is negative"), None),
            "log" if *first <= 0.0 => self.error(at, format!("log of {first}, which is not positive"), None),
            "sqrt" => Ok(first.sqrt()),
            "log" => Ok(libm::log(*first)),
            "exp" => self.finite_if(at, libm::exp(*first), &[*first]),
            "abs" => Ok(first.abs()),
            "floor" => Ok(first.floor()),
            // A NaN represents a number that is not known yet. `f64::min` and `f64::max` would ignore the NaN.
            _ if arguments.iter().any(|number| number.is_nan()) => Ok(f64::NAN),
            "min" => Ok(rest.iter().copied().fold(*first, f64::min)),
            _ => Ok(rest.iter().copied().fold(*first, f64::max)),
        }
    }

    /// Returns the value of a property of the tensor: `fan_in`, `fan_out`, `shape[i]` or `index`. Parses only the text
    /// after `name`, such as `[0]`. The value is NaN if it is not known yet. Returns `None` if `name` is not a
    /// property.
    fn property_of_tensor(&mut self, at: usize, name: &str) -> Result<Option<f64>, SpecError> {
        match name {
            "fan_in" | "fan_out" => self.fan(at, name).map(Some),
            "shape" => self.size_of_axis(at).map(Some),
            "index" if self.tensor.is_stacked => {
                self.is_deferred |= self.tensor.index.is_none();
                Ok(Some(self.tensor.index.map_or(f64::NAN, |index| index as f64)))
            }
            "index" => self.error(
                at,
                "index is the index of a tensor in a stack, and this is not a stack",
                Some("write it within stacked(...), or write the number".to_owned()),
            ),
            _ => Ok(None),
        }
    }

    /// Parses the optional axis layout in parentheses after `fan_in` or `fan_out`, and returns the fan of the tensor.
    fn fan(&mut self, at: usize, name: &str) -> Result<f64, SpecError> {
        let mut layout = AxisLayout::default();
        if self.eat("(") {
            self.rest();
            let start = self.at;
            let word = self.identifier().unwrap_or_default();
            let Ok(read) = word.parse() else {
                let help = "write a layout such as fan_in(in_out) or fan_in(kernel_in_out)";
                return self.error(start, format!("layout {word:?} is not known"), Some(help.to_owned()));
            };
            layout = read;
            self.expect(")", "after the layout")?;
        }
        let Some(shape) = self.tensor.shape else {
            self.is_deferred = true;
            return Ok(f64::NAN);
        };
        match layout.fans(shape) {
            Ok(fans) => Ok(if name == "fan_in" { fans.fan_in } else { fans.fan_out } as f64),
            Err(_) => {
                let message = format!("there is no {name}: a tensor of shape {shape:?} has no fans");
                self.error(at, message, Some("write the number or a variable".to_owned()))
            }
        }
    }

    /// Parses `[i]` and returns the size of the tensor along axis i. A negative index counts from the end.
    fn size_of_axis(&mut self, at: usize) -> Result<f64, SpecError> {
        self.expect("[", "after shape: write shape[0]")?;
        self.enter()?;
        let index = self.expression()?;
        self.depth -= 1;
        self.expect("]", "after the index of the axis")?;
        let Some(shape) = self.tensor.shape else {
            self.is_deferred = true;
            return Ok(f64::NAN);
        };
        let rank = shape.len() as f64;
        let from_start = if index < 0.0 { index + rank } else { index };
        match shape.iter().enumerate().find(|(axis, _)| *axis as f64 == from_start) {
            Some((_, size)) => Ok(*size as f64),
            None => {
                let message = format!("there is no axis {index} in the shape {shape:?}");
                self.error(
                    at,
                    message,
                    Some(format!("write a whole number from {} to {}", -rank, rank - 1.0)),
                )
            }
        }
    }

    /// Parses expressions that are separated by commas in one pair of parentheses, and returns their values.
    fn numbers(&mut self) -> Result<Vec<f64>, SpecError> {
        self.enter()?;
        let mut numbers = Vec::new();
        self.expect("(", "before the arguments")?;
        while !self.eat(")") {
            numbers.push(self.expression()?);
            if !self.eat(",") {
                self.expect(")", "or \",\" after an argument")?;
                break;
            }
        }
        self.depth -= 1;
        Ok(numbers)
    }

    /// Parses a literal number and returns its value.
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

    /// Parses the arguments of `factor`, whose name begins at the byte offset `at`, and returns the value of the
    /// factor.
    fn scaling_factor(&mut self, at: usize, factor: &ScalingFactor) -> Result<f64, SpecError> {
        let signature = format!("{}({})", factor.name, factor.parameters.join(", "));
        if !self.rest().starts_with('(') {
            self.expect("(", &format!("after {}: write {signature}", factor.name))?;
        }
        let arguments = self.numbers()?;
        let unknown = self.is_deferred && arguments.iter().any(|number| number.is_nan());
        if unknown && arguments.len() == factor.parameters.len() {
            return Ok(f64::NAN);
        }
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

/// Returns the length in bytes of the number at the start of `text`, such as `.5`, `1_000` or `2e-3`.
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
