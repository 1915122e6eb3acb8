//! The warnings of plans.

use crate::dtype::DType;

/// A problem that does not prevent a fill, but that is probably a mistake of the caller.
///
/// fanin does not print warnings. [`Plan::warnings`](crate::Plan::warnings) returns the warnings of a plan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The shape has no elements, so nothing is written.
    ZeroElements {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// The mean of a truncated normal distribution is more than two standard deviations outside the bounds. torch's old
    /// algorithm, [`Truncation::InverseCdf`](crate::Truncation::InverseCdf), is inaccurate for such a mean. A plan has
    /// this warning if the caller selects the old algorithm. torch and the function `trunc_normal_` of the module
    /// [`torch`](crate::torch) give the warning with any algorithm.
    MeanFarOutside {
        /// The mean of the untruncated distribution.
        mean: f64,
        /// The standard deviation of the untruncated distribution.
        std: f64,
        /// The lower bound.
        a: f64,
        /// The upper bound.
        b: f64,
    },
    /// Values of a normal distribution can be too large for the element type. Such a value becomes infinite. In a type
    /// without infinity ([`DType::F8E4M3`]), the value becomes the largest value of the type.
    Overflow {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
        /// The element type.
        dtype: DType,
    },
    /// The standard deviation is less than the spacing of the element type at the mean. The spacing is the distance
    /// between neighbouring values, such as 1.2e-7 at 1.0 in f32. The values are therefore rounded to only a few
    /// distinct values.
    Collapse {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
        /// The element type.
        dtype: DType,
    },
    /// The step of a sequence is less than the spacing of the element type near the value `at`. The spacing is the
    /// distance between neighbouring values of the type. Some consecutive values of the sequence are therefore rounded
    /// to the same value.
    Repeated {
        /// The difference between two consecutive values of the sequence.
        step: f64,
        /// The first or the last value of the sequence, whichever is farther from 0.
        at: f64,
        /// The element type.
        dtype: DType,
    },
    /// A value other than 0 is rounded to 0 in the element type, such as 1e-9 in f16. The value is a constant, a scale
    /// or a gain. For a function such as `exp(uniform(-100, -90))`, the value is the result with the largest magnitude,
    /// so all results are rounded to 0.
    Underflow {
        /// The value before it is rounded.
        value: f64,
        /// The element type.
        dtype: DType,
    },
    /// A slope was given for a nonlinearity that has no slope. The slope has no effect.
    SlopeIgnored {
        /// The slope given.
        a: f64,
        /// The nonlinearity's name.
        nonlinearity: &'static str,
    },
    /// The function was called by a name that torch has deprecated.
    Deprecated {
        /// The name used.
        name: &'static str,
        /// The name to use.
        replacement: &'static str,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Warning::ZeroElements { .. } => f.write_str("Initializing zero-element tensors is a no-op"),
            Warning::MeanFarOutside { .. } => f.write_str(
                "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. \
                 The distribution of values may be incorrect.",
            ),
            Warning::Overflow { mean, std, dtype } => write!(
                f,
                "N({mean}, {std}^2) has values beyond {}, the largest of {dtype}: they become {}. Truncate the distribution, or use a \
                 wider type",
                dtype.largest(),
                if *dtype == DType::F8E4M3 { "this value" } else { "infinite" }
            ),
            Warning::Collapse { mean, std, dtype } => write!(
                f,
                "std={std} is less than the spacing of {dtype} at mean={mean}: nearly all values become one number. Use a \
                 larger std or a wider type"
            ),
            Warning::Repeated { step, at, dtype } => write!(
                f,
                "the step {step} is less than the spacing of {dtype} near {at}: neighbouring values become equal. Use a wider \
                 type"
            ),
            Warning::Underflow { value, dtype } => {
                write!(f, "{value} is too small for {dtype} and becomes 0. Use a wider type, or write 0")
            }
            Warning::SlopeIgnored { a, nonlinearity } => {
                write!(
                    f,
                    "a = {a} is the slope of leaky_relu and has no effect with nonlinearity={nonlinearity}"
                )
            }
            Warning::Deprecated { name, replacement } => {
                write!(f, "`nn.init.{name}` is now deprecated in favor of `nn.init.{replacement}`.")
            }
        }
    }
}
