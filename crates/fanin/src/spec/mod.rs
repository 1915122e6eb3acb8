//! Specs: initializers as text, such as `kaiming_normal(mode=fan_out, nonlinearity=relu)`.
//!
//! A spec is the name of a scheme with its arguments. An argument is either positional, in torch's order, or named. A
//! number can be an arithmetic expression. An expression can contain the operators `+ - * / ^`, parentheses, the
//! constant `pi` and the functions `sqrt log exp abs floor min max`. It can also contain named [`Variables`] and the
//! functions of [`crate::scaling`].
//!
//! An expression can also use the fans and sizes of the tensor for which the spec is resolved. `fan_in` and `fan_out`
//! are the fans for the axis layout `out_in`. Another [`AxisLayout`](crate::AxisLayout) can be given in parentheses, as
//! in `fan_in(kernel_in_out)`. `shape[0]` and `shape[-1]` are the sizes of the first and the last axis. In a spec
//! inside `blocks` or `stacked`, the fans and sizes are those of the block. Inside `stacked`, `index` is the index of
//! the tensor in the stack.
//!
//! `log`, `exp` and `softplus_inverse` can also enclose a whole spec. The function is then applied to each value.
//!
//! [`Init::parse`] parses a spec. [`schemes`] lists every scheme that a spec can name. The `Display` implementation of
//! an initializer prints its spec.
//!
//! ```
//! use fanin::init::Init;
//! let init: Init = "normal(std=0.02*gpt2_residual(12))".parse()?;
//! assert_eq!(init.scheme().formula, "N(mean, std^2)");
//! assert_eq!(init.to_string().parse::<Init>()?, init);
//!
//! // The bias of a detection head (RetinaNet), an embedding with a std of 1 / sqrt(width), and Mamba's time step.
//! let bias: Init = "constant(-log((1-0.01)/0.01))".parse()?;
//! let embedding: Init = "normal(std=1/sqrt(shape[-1]))".parse()?;
//! let time_step: Init = "softplus_inverse(log_uniform(0.001, 0.1))".parse()?;
//! assert_eq!(fanin::Initializer::resolve(&embedding, &[1000, 64], fanin::DType::F32)?.std(), 0.125);
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

use scanner::TensorContext;

use crate::dtype::DType;
use crate::error::{Error, SpecError};
use crate::init::*;
use crate::plan::Plan;

/// Returns the value of an arithmetic expression, such as `2*n_layer`. The syntax is the same as for numbers in specs.
///
/// # Errors
/// Returns the same errors as [`Init::parse`].
pub fn evaluate(expression: &str, variables: &dyn Variables) -> Result<f64, Error> {
    Ok(parser::evaluate(expression, variables)?)
}

impl Init {
    /// Parses a spec (see [`spec`](crate::spec)). The file `spec/parser.rs` documents the grammar.
    ///
    /// # Errors
    /// [`Error::Spec`], which contains the position of the mistake and, if known, a remedy.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with(text, &NoVariables)
    }

    /// Parses a spec whose arithmetic can use named variables.
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
    /// Returns the same errors as [`Init::parse`].
    pub fn parse_with(text: &str, variables: &dyn Variables) -> Result<Self, Error> {
        Ok(parser::parse(text, variables, TensorContext::default())?)
    }

    /// Parses a spec for a tensor of the shape `shape`. `fan_in`, `fan_out` and `shape[i]` are replaced by their values
    /// for this tensor, except in the specs inside `blocks` and `stacked`. [`Init::parse_with`] always keeps these
    /// names, because the shape is not known.
    ///
    /// ```
    /// use fanin::init::Init;
    /// let variables = std::collections::BTreeMap::from([("n_layer".to_owned(), 2.0)]);
    /// let init = Init::parse_for("normal(std=n_layer/fan_in)", &[8, 4], &variables)?;
    /// assert_eq!(init.to_string(), "normal(std=0.5)");
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`Init::parse`].
    pub fn parse_for(text: &str, shape: &[usize], variables: &dyn Variables) -> Result<Self, Error> {
        let tensor = TensorContext { shape: Some(shape), ..TensorContext::default() };
        Ok(parser::parse(text, variables, tensor)?)
    }

    /// Returns the scheme of this initializer. A [`Scheme`] contains the parameters, the formula and the source of the
    /// scheme.
    pub fn scheme(&self) -> &'static Scheme {
        let spec = self.to_string();
        let name = spec.split('(').next().unwrap_or_default();
        schemes().iter().find(|scheme| scheme.name == name).expect("Display prints the name of a scheme")
    }
}

impl Initializer for ByShape {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let index = self.index();
        let tensor = TensorContext { shape: Some(shape), index, is_stacked: index.is_some() };
        parser::parse(self.text(), &NoVariables, tensor)?.resolve(shape, dtype)
    }
}

impl std::str::FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Init::parse(text)
    }
}

/// Implements `FromStr` for each initializer type, so that every type can be parsed from the spec that `Display`
/// prints.
macro_rules! from_str {
    ($($name:ident)*) => {$(
        impl std::str::FromStr for $name {
            type Err = Error;

            /// Parses the spec of an initializer of this type. Returns an error for a spec of another type.
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
    Arange Blocks ByShape Constant DeltaOrthogonal Dirac Eye IdInit Kaiming LinearDefault LinearDefaultBias LogUniform Mapped Normal Orthogonal Siren
    Sparse Spectral Stacked TruncNormal TruncNormalTf Uniform VarianceScaling Xavier ZeroHadamard
);
