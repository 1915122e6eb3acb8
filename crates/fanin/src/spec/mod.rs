//! Specs: initializers as text, `kaiming_normal(mode=fan_out, nonlinearity=relu)`.
//!
//! [`Init::parse`] reads a spec, [`schemes`] lists every scheme that a spec can name.

mod arguments;
mod arithmetic;
mod parser;
mod registry;
mod scanner;
mod scheme;
mod variables;

pub use registry::schemes;
pub use scheme::Scheme;
pub use variables::{NoVariables, Variables};

use crate::error::{Error, SpecError};
use crate::init::*;

impl Init {
    /// Reads a spec. The grammar stands at the head of `spec/parser.rs`:
    /// a name, arguments by position in torch's order or by name, arithmetic with `+ - * / ^`, `sqrt` and parentheses.
    ///
    /// # Errors
    /// `Spec`, pointing at the character, with a remedy where one is near.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &NoVariables)
    }

    /// Reads a spec whose arithmetic may use named variables.
    ///
    /// ```
    /// use fanin::init::{Init, normal};
    /// let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 12.0)]);
    /// let init = Init::parse_with("normal(std=0.02/sqrt(2*n_layer))", &variables)?;
    /// assert_eq!(init, Init::Normal(normal(0.0, 0.02 / 24f64.sqrt())));
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Init::parse`].
    pub fn parse_with(text: &str, variables: &dyn Variables) -> Result<Self, Error> {
        Ok(parser::parse(text, variables)?)
    }

    /// The scheme it belongs to: its name, parameters, formula and source.
    pub fn scheme(&self) -> &'static Scheme {
        let spec = self.to_string();
        let name = spec.split('(').next().unwrap_or_default();
        schemes().iter().find(|scheme| scheme.name == name).expect("Display prints a scheme's name")
    }
}

impl std::str::FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Init::parse(text)
    }
}

/// Each initializer parses from the spec that it prints.
macro_rules! from_str {
    ($($name:ident)*) => {$(
        impl std::str::FromStr for $name {
            type Err = Error;

            /// Reads the spec that `Display` prints.
            fn from_str(text: &str) -> Result<Self, Error> {
                match Init::parse(text)? {
                    Init::$name(initializer) => Ok(initializer),
                    other => Err(SpecError {
                        text: text.to_owned(),
                        at: 0,
                        message: format!("{other} is no {}", stringify!($name)),
                        help: None,
                    }
                    .into()),
                }
            }
        }
    )*};
}
from_str!(
    Blocks Constant DeltaOrthogonal Dirac Eye IdInit Kaiming LinearDefault LinearDefaultBias Normal Orthogonal Siren
    Sparse Spectral Stacked TruncNormal TruncNormalTf Uniform VarianceScaling Xavier ZeroHadamard
);
