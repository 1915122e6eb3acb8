//! Functions that can be applied to a tensor's values.

/// A function that can be applied to a tensor's values. All of these functions are increasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// The natural logarithm.
    Log,
    /// The exponential function.
    Exp,
    /// The inverse of softplus: `x + log(1 - exp(-x))`. Mamba and other state space models store time steps in this
    /// form.
    SoftplusInverse,
}

impl Function {
    /// All functions.
    pub const ALL: [Function; 3] = [Function::Log, Function::Exp, Function::SoftplusInverse];

    /// Returns the name in specs: `log`, `exp` or `softplus_inverse`.
    pub const fn name(self) -> &'static str {
        match self {
            Function::Log => "log",
            Function::Exp => "exp",
            Function::SoftplusInverse => "softplus_inverse",
        }
    }

    /// Returns the value of the function at `x`. `Log` and `SoftplusInverse` are defined for `x > 0` only.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Function::Log => libm::log(x),
            Function::Exp => libm::exp(x),
            Function::SoftplusInverse => x + libm::log(-libm::expm1(-x)),
        }
    }

    /// Returns the `x` at which the function has the value `y`.
    pub fn invert(self, y: f64) -> f64 {
        match self {
            Function::Log => libm::exp(y),
            Function::Exp => libm::log(y),
            // The inverse is softplus(y) = log(1 + exp(y)), in a form that cannot overflow.
            Function::SoftplusInverse => y.max(0.0) + libm::log1p(libm::exp(-y.abs())),
        }
    }

    pub(super) fn is_defined_for(self, x: f64) -> bool {
        self == Function::Exp || x > 0.0
    }
}

/// A composition of functions: each function is applied to the result of the previous function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Functions {
    /// The functions, innermost first. The unused elements at the end are `None`.
    list: [Option<Function>; Functions::MAX_LEN],
}

impl Functions {
    /// The largest number of functions in a composition.
    pub const MAX_LEN: usize = 4;

    /// Returns the composition of `functions`. The first function is applied first. Returns `None` if there are more
    /// than [`Functions::MAX_LEN`].
    pub fn new(functions: &[Function]) -> Option<Self> {
        let mut list = [None; Self::MAX_LEN];
        for (slot, function) in list.get_mut(..functions.len())?.iter_mut().zip(functions) {
            *slot = Some(*function);
        }
        Some(Self { list })
    }

    /// Returns the functions in the order in which they are applied.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Function> + use<> {
        self.list.into_iter().flatten()
    }

    /// Applies the functions to `x`.
    pub fn apply(&self, x: f64) -> f64 {
        self.iter().fold(x, |x, function| function.apply(x))
    }

    /// Returns the `x` for which `apply(x)` is `y`.
    pub fn invert(&self, y: f64) -> f64 {
        self.iter().rev().fold(y, |y, function| function.invert(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_their_inverses_have_the_values_of_their_definitions() {
        for x in [1e-12, 1e-4, 0.1, 1.0, 3.0, 20.0, 50.0] {
            for function in Function::ALL {
                let error = (function.invert(function.apply(x)) - x).abs();
                assert!(error < 1e-12 * x.max(1.0), "{function:?} {x} {error}");
            }
            // softplus(softplus_inverse(x)) = x, with softplus as torch defines it.
            let y = Function::SoftplusInverse.apply(x);
            assert!((libm::log1p(libm::exp(y)) / x - 1.0).abs() < 1e-9, "{x}");
        }
    }
}
