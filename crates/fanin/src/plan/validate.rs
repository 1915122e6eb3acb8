//! Creation of plans from distributions, with checks of all parameters.

use super::distribution::{Distribution, Truncation};
use super::types::Plan;
use crate::distributions::truncated;
use crate::dtype::DType;
use crate::error::Error;
use crate::shape::element_count;
use crate::warning::Warning;

impl Plan {
    /// Returns a plan of a tensor with the given shape, element type and distribution.
    ///
    /// # Errors
    /// * `ShapeOverflow` if the number of elements does not fit in an `isize`.
    /// * `Argument`, `Bounds`, `BoundsOverflow` if the parameters of the distribution are invalid, or too large for
    ///   `dtype`.
    /// * `Dimensions`, `Groups` if the distribution does not support the shape.
    /// * `CompositePlan` for [`Distribution::Blocks`] and [`Distribution::Mapped`], which require other plans. `Blocks`
    ///   requires the plans of the blocks. `Mapped` applies functions to values, and requires the plan of these values.
    ///   Use an initializer such as [`blocks`](crate::init::blocks()) instead.
    pub fn new(shape: &[usize], dtype: DType, distribution: Distribution) -> Result<Self, Error> {
        element_count(shape)?;
        let mut warnings = Vec::new();
        match distribution {
            Distribution::Constant { value } => {
                if value.is_finite() {
                    finite("constant", "val", value, dtype)?;
                }
            }
            Distribution::Uniform { low, high } => {
                ordered("uniform", low, high)?;
                let fits = |x: f64| x.is_finite() && x.abs() <= dtype.largest();
                if !(fits(low) && fits(high) && fits(high - low)) {
                    return Err(Error::BoundsOverflow { scheme: "uniform", a: low, b: high, dtype });
                }
            }
            Distribution::Normal { mean, std } => {
                finite("normal", "mean", mean, dtype)?;
                deviation("normal", std, dtype)?;
            }
            Distribution::TruncatedNormal { mean, std, low, high, method } => {
                finite("trunc_normal", "mean", mean, dtype)?;
                deviation("trunc_normal", std, dtype)?;
                if std == 0.0 {
                    return Err(argument("trunc_normal", "std", std, "must be greater than 0".to_owned()));
                }
                ordered("trunc_normal", low, high)?;
                if low > dtype.largest() || high < -dtype.largest() {
                    return Err(Error::BoundsOverflow { scheme: "trunc_normal", a: low, b: high, dtype });
                }
                // Rejection and the default algorithm of each stream are accurate far from the mean.
                let inverse = method == Some(Truncation::InverseCdf);
                if inverse && (mean < low - 2.0 * std || mean > high + 2.0 * std) {
                    warnings.push(Warning::MeanFarOutside { mean, std, a: low, b: high });
                }
            }
            Distribution::Eye => {
                if shape.len() != 2 {
                    return Err(Error::Dimensions { scheme: "eye", supported: "2", shape: shape.to_vec() });
                }
            }
            Distribution::Dirac { groups } => {
                if !(3..=5).contains(&shape.len()) {
                    let supported = "3, 4, or 5";
                    return Err(Error::Dimensions { scheme: "dirac", supported, shape: shape.to_vec() });
                }
                if groups == 0 {
                    return Err(argument("dirac", "groups", 0.0, "must be at least 1".to_owned()));
                }
                if !shape[0].is_multiple_of(groups) {
                    return Err(Error::Groups { groups, shape: shape.to_vec() });
                }
            }
            Distribution::Orthogonal { gain } => {
                finite("orthogonal", "gain", gain, dtype)?;
                if shape.len() < 2 {
                    let supported = "2 or more";
                    return Err(Error::Dimensions { scheme: "orthogonal", supported, shape: shape.to_vec() });
                }
            }
            Distribution::Sparse { zeros, std } => {
                deviation("sparse", std, dtype)?;
                let [rows, _] = shape else {
                    return Err(Error::Dimensions {
                        scheme: "sparse",
                        supported: "2",
                        shape: shape.to_vec(),
                    });
                };
                if zeros > *rows {
                    let requirement = format!("a column has only {rows} rows");
                    return Err(argument("sparse", "zeros", zeros as f64, requirement));
                }
            }
            Distribution::Hadamard { scale: value } | Distribution::RepeatedEye { value } => {
                let (scheme, name) = match distribution {
                    Distribution::Hadamard { .. } => ("zero_hadamard", "scale"),
                    _ => ("idinit", "tau"),
                };
                finite(scheme, name, value, dtype)?;
                if shape.len() != 2 {
                    return Err(Error::Dimensions { scheme, supported: "2", shape: shape.to_vec() });
                }
            }
            Distribution::Arange { start, step } => {
                finite("arange", "start", start, dtype)?;
                finite("arange", "step", step, dtype)?;
                let length = shape.last().copied().unwrap_or(1).max(1);
                finite("arange", "end", start + step * (length - 1) as f64, dtype)?;
            }
            Distribution::Blocks { .. } | Distribution::Mapped { .. } => {
                return Err(Error::CompositePlan { shape: shape.to_vec() });
            }
        }
        let length = shape.last().copied().unwrap_or(1);
        let possible = [
            overflow(distribution, dtype),
            collapse(distribution, dtype),
            repeated(distribution, length, dtype),
            underflow(distribution, dtype),
        ];
        warnings.extend(possible.into_iter().flatten());
        let shape = shape.to_vec();
        Ok(Self {
            shape,
            dtype,
            distribution,
            distribution_on_torch: None,
            fans: None,
            warnings,
            blocks: Vec::new(),
            argument: None,
        })
    }
}

/// Returns a warning if `|mean| + 6 * std` exceeds the largest value of the element type. A value of a normal
/// distribution then overflows with a probability of about 1e-9 or more.
fn overflow(distribution: Distribution, dtype: DType) -> Option<Warning> {
    let (mean, std, bound) = match distribution {
        Distribution::Normal { mean, std } => (mean, std, f64::INFINITY),
        Distribution::TruncatedNormal { mean, std, low, high, .. } => (mean, std, high.max(-low)),
        Distribution::Sparse { std, .. } => (0.0, std, f64::INFINITY),
        _ => return None,
    };
    ((mean.abs() + 6.0 * std).min(bound) > dtype.largest()).then_some(Warning::Overflow { mean, std, dtype })
}

/// Returns a warning if the values would be rounded to only a few distinct values (see `collapse_at`).
fn collapse(distribution: Distribution, dtype: DType) -> Option<Warning> {
    let (mean, std) = match distribution {
        Distribution::Normal { mean, std } => (mean, std),
        Distribution::Uniform { low, high } => {
            (low / 2.0 + high / 2.0, (high / 2.0 - low / 2.0) / 3f64.sqrt())
        }
        Distribution::TruncatedNormal { mean, std, low, high, .. } => {
            let (shift, variance) = truncated::moments((low - mean) / std, (high - mean) / std);
            (mean + std * shift, std * variance.sqrt())
        }
        Distribution::Sparse { std, .. } => (0.0, std),
        _ => return None,
    };
    collapse_at(mean, std, dtype)
}

/// Returns a warning if `std` is smaller than the distance between neighbouring values of the element type at `mean`.
pub(super) fn collapse_at(mean: f64, std: f64, dtype: DType) -> Option<Warning> {
    (std > 0.0 && std < spacing(mean, dtype)).then_some(Warning::Collapse { mean, std, dtype })
}

/// Returns the distance between the value of the element type that is nearest to `x` and the next greater value.
fn spacing(x: f64, dtype: DType) -> f64 {
    let nearest = dtype.round(x);
    dtype.next_up(nearest) - nearest
}

/// Returns a warning if neighbours in a sequence of `length` values are rounded to the same value.
fn repeated(distribution: Distribution, length: usize, dtype: DType) -> Option<Warning> {
    let Distribution::Arange { start, step } = distribution else { return None };
    let end = start + step * length.saturating_sub(1) as f64;
    let at = if end.abs() > start.abs() { end } else { start };
    (length > 1 && step != 0.0 && step.abs() < spacing(at.abs() - step.abs(), dtype))
        .then_some(Warning::Repeated { step, at, dtype })
}

/// Returns a warning if a value that is not 0 is rounded to 0, because it is too small for the element type.
fn underflow(distribution: Distribution, dtype: DType) -> Option<Warning> {
    let value = match distribution {
        Distribution::Constant { value }
        | Distribution::Hadamard { scale: value }
        | Distribution::RepeatedEye { value }
        | Distribution::Orthogonal { gain: value } => value,
        // These distributions have a single value.
        Distribution::Normal { mean, std: 0.0 } => mean,
        Distribution::Uniform { low, high } if low == high => low,
        _ => return None,
    };
    underflow_of(value, dtype)
}

/// Returns a warning if `value` is not 0, but is rounded to 0.
pub(super) fn underflow_of(value: f64, dtype: DType) -> Option<Warning> {
    (value != 0.0 && dtype.round(value) == 0.0).then_some(Warning::Underflow { value, dtype })
}

fn argument(scheme: &'static str, argument: &'static str, value: f64, requirement: String) -> Error {
    Error::Argument { scheme, argument, value, requirement }
}

/// Returns an error if a bound is NaN, or if `a` is greater than `b`.
fn ordered(scheme: &'static str, a: f64, b: f64) -> Result<(), Error> {
    for (name, bound) in [("a", a), ("b", b)] {
        if bound.is_nan() {
            return Err(argument(scheme, name, bound, "must be a number".to_owned()));
        }
    }
    if a > b { Err(Error::Bounds { scheme, a, b }) } else { Ok(()) }
}

/// Returns an error if `value` is not finite in `dtype`. The error reports `value` as the argument `name` of `scheme`.
pub(crate) fn finite(
    scheme: &'static str,
    name: &'static str,
    value: f64,
    dtype: DType,
) -> Result<(), Error> {
    if !value.is_finite() {
        return Err(argument(scheme, name, value, "must be finite".to_owned()));
    }
    if value.abs() > dtype.largest() {
        let requirement = format!("must be finite in {dtype} (largest value {})", dtype.largest());
        return Err(argument(scheme, name, value, requirement));
    }
    Ok(())
}

/// Returns an error if `std` is negative or not finite in the element type.
fn deviation(scheme: &'static str, std: f64, dtype: DType) -> Result<(), Error> {
    finite(scheme, "std", std, dtype)?;
    if std < 0.0 {
        return Err(argument(scheme, "std", std, "must be greater than or equal to 0".to_owned()));
    }
    Ok(())
}
