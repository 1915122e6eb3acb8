//! The variables that a spec sees: the recipe's, and the fans of the parameter at hand.

use std::cell::Cell;
use std::collections::BTreeMap;

use fanin::init::{Init, Variables};
use fanin::{Fans, Layout};

use super::parse::FANS;

/// A recipe's variables, with the fans of one parameter among them.
pub(super) struct Scope<'a> {
    variables: &'a BTreeMap<String, f64>,
    shape: &'a [usize],
    fans: Option<Fans>,
    /// The fan that was asked for and is not there.
    missed: Cell<Option<&'static str>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, f64>, shape: &'a [usize]) -> Self {
        Self { variables, shape, fans: Layout::OutIn.fans(shape).ok(), missed: Cell::new(None) }
    }

    /// Reads a spec in this scope. A fan that the shape has not is named as what is wrong.
    pub(super) fn read(&self, spec: &str) -> Result<Init, fanin::Error> {
        self.missed.set(None);
        Init::parse_with(spec, self).map_err(|error| match (error, self.missed.get()) {
            (fanin::Error::Spec(mut error), Some(fan)) => {
                error.message = format!("there is no {fan}: a tensor of shape {:?} has no fans", self.shape);
                error.help = Some(
                    "write the number or a variable: a bias takes its bound from the weight's".to_owned(),
                );
                error.into()
            }
            (error, _) => error,
        })
    }
}

impl Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        let Some(&fan) = FANS.iter().find(|&&fan| fan == name) else {
            return self.variables.get(name).copied();
        };
        if self.fans.is_none() {
            self.missed.set(Some(fan));
        }
        self.fans.map(|fans| if fan == "fan_in" { fans.fan_in as f64 } else { fans.fan_out as f64 })
    }

    fn names(&self) -> Vec<&str> {
        let fans = if self.fans.is_some() { &FANS[..] } else { &[] };
        self.variables.keys().map(String::as_str).chain(fans.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_are_there_for_two_dimensions_and_more() {
        let variables = BTreeMap::from([("n".to_owned(), 2.0)]);
        let read = |shape: &[usize], spec: &str| {
            Scope::new(&variables, shape)
                .read(spec)
                .map(|init| init.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(&[8, 4, 3], "normal(std=n/fan_in)").unwrap(), format!("normal(std={})", 2.0 / 12.0));
        assert_eq!(read(&[8, 4, 3], "normal(std=n/fan_out)").unwrap(), format!("normal(std={})", 2.0 / 24.0));
        let error = read(&[8], "normal(std=n/fan_in)").unwrap_err();
        assert!(error.contains("there is no fan_in: a tensor of shape [8]"), "{error}");
        assert!(
            error.lines().nth(2).unwrap().starts_with(&format!("{:15}^ write the number", "")),
            "{error}"
        );
        // The mode's name is no variable: what is wrong here is the nonlinearity.
        let error = read(&[8], "kaiming_normal(mode=fan_in, nonlinearity=rel)").unwrap_err();
        assert!(error.contains("Unsupported nonlinearity rel") && !error.contains("no fan_in"), "{error}");
    }
}
