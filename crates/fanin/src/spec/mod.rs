//! Specs: initializers as text, such as `kaiming_normal(mode=fan_out, nonlinearity=relu)`.
//!
//! A spec is the name of a scheme with its arguments. An argument is either positional, in torch's order, or named. A
//! number can be written as arithmetic with `+ - * / ^`, `sqrt`, `pi`, parentheses, named [`Variables`] and the
//! functions of [`crate::scaling`].
//!
//! [`Init::parse`] reads a spec. [`schemes`] lists every scheme that a spec can name. The `Display` implementation of
//! an initializer prints its spec.
//!
//! ```
//! use fanin::init::Init;
//! let init: Init = "normal(std=0.02*gpt2_residual(12))".parse()?;
//! assert_eq!(init.scheme().formula, "N(mean, std^2)");
//! assert_eq!(init.to_string().parse::<Init>()?, init);
//! # Ok::<(), fanin::Error>(())
//! ```

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
    /// Reads a spec (see [`spec`](crate::spec)). The file `spec/parser.rs` documents the grammar.
    ///
    /// # Errors
    /// [`Error::Spec`], which has the position of the mistake and, if it is known, a remedy.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &NoVariables)
    }

    /// Reads a spec whose arithmetic can use named variables.
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
    /// The errors of [`Init::parse`].
    pub fn parse_with(text: &str, variables: &dyn Variables) -> Result<Self, Error> {
        Ok(parser::parse(text, variables)?)
    }

    /// Returns the scheme of this initializer. A [`Scheme`] has the parameters, the formula and the source of the
    /// scheme.
    pub fn scheme(&self) -> &'static Scheme {
        let spec = self.to_string();
        let name = spec.split('(').next().unwrap_or_default();
        schemes().iter().find(|scheme| scheme.name == name).expect("Display prints the name of a scheme")
    }
}

impl std::str::FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Init::parse(text)
    }
}

/// Implements `FromStr` for each initializer type, so that every type can be read from the spec that it prints.
macro_rules! from_str {
    ($($name:ident)*) => {$(
        impl std::str::FromStr for $name {
            type Err = Error;

            /// Reads a spec of this type, as `Display` prints it. Returns an error for a spec of another type.
            fn from_str(text: &str) -> Result<Self, Error> {
                match Init::parse(text)? {
                    Init::$name(initializer) => Ok(initializer),
                    other => Err(SpecError {
                        text: text.to_owned(),
                        at: 0,
                        message: format!("expected a spec of {}, got {other}", stringify!($name)),
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
