//! The description of a scheme: name, parameters, formula and source.

use super::arguments::Arguments;
use crate::error::SpecError;
use crate::init::Init;

/// The description of a scheme that a spec can name. [`schemes`](super::schemes) lists all schemes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scheme {
    /// The name in specs. If the scheme is in `torch.nn.init`, the name is torch's name without the trailing
    /// underscore.
    pub name: &'static str,
    /// The name and the default value of each parameter, in torch's order. A required parameter has the default `None`.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
    /// The formula of the distribution or of the values, written with the names of the parameters.
    pub formula: &'static str,
    /// The paper or the library that defines the scheme. The source is empty for elementary schemes such as `normal`.
    pub source: &'static str,
    /// The function that creates the initializer from the arguments of a spec.
    pub(super) build: fn(&Arguments<'_>) -> Result<Init, SpecError>,
}

impl Scheme {
    /// Returns the name with all parameters and their default values, such as `normal(mean=0, std=1)`. A scheme without
    /// parameters has no parentheses.
    pub fn signature(&self) -> String {
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, default)| match default {
                Some(default) => format!("{name}={default}"),
                None => (*name).to_owned(),
            })
            .collect();
        if parameters.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}({})", self.name, parameters.join(", "))
        }
    }
}
