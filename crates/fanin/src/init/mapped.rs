//! Initializers that apply a function to the values of another initializer.

use super::any::{Init, Mapped};
use super::initializer::{Initializer, initializer};
use crate::dtype::DType;
use crate::error::Error;
use crate::plan::{Distribution, Function, Functions, Plan};

/// Returns an initializer that applies `function` to the values of the initializer `argument`. The values are computed
/// in f64 and rounded once.
///
/// The distribution of `argument` must be constant, uniform, normal, truncated normal, log-uniform or a sequence
/// ([`arange`](super::arange)). `argument` may also apply a function itself, as `exp(normal)` does. [`log`] and
/// [`softplus_inverse`] need values above 0. Only the native stream supports functions of random values.
///
/// Specs: `log(arange(1, 17))`, `exp(normal)`, `softplus_inverse(log_uniform(0.001, 0.1))`.
///
/// ```
/// use fanin::{Function, Native, init};
/// // Mamba's A_log: log(1), log(2), .. in each row.
/// let mut a_log = [0f32; 4];
/// let rows = init::mapped(Function::Log, init::arange().start(1.0));
/// rows.fill(&mut a_log, &[2, 2], &mut Native::new(0).tensor("A_log"))?;
/// assert_eq!(a_log, [0.0, 2f32.ln(), 0.0, 2f32.ln()]);
/// # Ok::<(), fanin::Error>(())
/// ```
pub fn mapped(function: Function, argument: impl Into<Init>) -> Mapped {
    Mapped { function, argument: Box::new(argument.into()) }
}

/// Returns an initializer of `log(x)` (the natural logarithm) for the values x of `argument`: see [`mapped`].
///
/// Spec: `log(arange(1, 17))`.
pub fn log(argument: impl Into<Init>) -> Mapped {
    mapped(Function::Log, argument)
}

/// Returns an initializer of `exp(x)` for the values x of `argument`: see [`mapped`].
///
/// Spec: `exp(normal)`.
pub fn exp(argument: impl Into<Init>) -> Mapped {
    mapped(Function::Exp, argument)
}

/// Returns an initializer of `x + log(1 - exp(-x))` for the values x of `argument`: see [`mapped`]. This function is
/// the inverse of softplus.
///
/// Spec: `softplus_inverse(log_uniform(0.001, 0.1))`.
pub fn softplus_inverse(argument: impl Into<Init>) -> Mapped {
    mapped(Function::SoftplusInverse, argument)
}

impl Initializer for Mapped {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let mut argument = self.argument.resolve(shape, DType::F64)?;
        let mut functions = vec![self.function];
        if let Distribution::Mapped { functions: inner } = argument.distribution() {
            functions.splice(0..0, inner.iter());
            argument = argument.argument().expect("a plan of functions has an argument").clone();
        }
        let name = self.function.name();
        let functions = Functions::new(&functions).ok_or(Error::Mapped { function: name })?;
        Plan::mapped(functions, argument, dtype)
    }
}

impl std::fmt::Display for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.function.name(), self.argument)
    }
}

initializer!(Mapped);
