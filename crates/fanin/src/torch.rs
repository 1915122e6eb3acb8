//! The functions of `torch.nn.init`, with the same names, the same order of arguments, and the same error messages.
//!
//! A tensor is a [`TensorMut`]. The generator is the last argument, a [`Generator`]. Every function that fills a tensor
//! returns the tensor's [`Plan`]. torch's warnings are in [`Plan::warnings`]. Nothing is printed. A name that torch has
//! deprecated, such as `xavier_normal`, is `#[deprecated]` here too. The plan of a deprecated function has a
//! [`Warning::Deprecated`].
//!
//! ```
//! use fanin::{TensorMut, torch};
//! let mut generator = torch::Generator::new(0);
//! let mut weight = vec![0f32; 256 * 128];
//! let tensor = TensorMut::contiguous(&mut weight, &[256, 128])?;
//! torch::kaiming_uniform_(tensor, 5f64.sqrt(), "fan_in", "leaky_relu", &mut generator)?;
//! # Ok::<(), fanin::Error>(())
//! ```
//!
//! Some invalid arguments that torch accepts are errors in this module: a negative `std` in `trunc_normal_`,
//! `sparsity = 1.5`, `groups = 0`. After an error, the tensor is unchanged.
//!
//! `sparse_` draws the positions of the zeros from the given generator. torch always draws them from its global
//! generator.

use crate::error::Error;
use crate::gain::Gain;
use crate::init::{self, Initializer};
use crate::nonlinearity::Nonlinearity;
use crate::plan::Plan;
use crate::shape::{AxisLayout, Fan};
pub use crate::streams::torch::Torch as Generator;
use crate::tensor::TensorMut;
use crate::warning::Warning;

/// Returns torch's gain of a nonlinearity. `nonlinearity` is its name in torch, and `param` is the slope of
/// `leaky_relu` (0.01 if `None`).
///
/// # Errors
/// [`Error::Nonlinearity`] for an unknown name. [`Error::NegativeSlope`] if the slope, torch's `negative_slope`, is
/// NaN. The slope may be negative.
///
/// ```
/// assert_eq!(fanin::torch::calculate_gain("leaky_relu", Some(0.2))?, (2.0 / (1.0 + 0.2 * 0.2f64)).sqrt());
/// # Ok::<(), fanin::Error>(())
/// ```
pub fn calculate_gain(nonlinearity: &str, param: Option<f64>) -> Result<f64, Error> {
    let nonlinearity = Nonlinearity::from_torch_name(nonlinearity, param)?;
    match nonlinearity {
        Nonlinearity::LeakyRelu { slope } if slope.is_nan() => {
            Err(Error::NegativeSlope { value: slope.to_string() })
        }
        _ => Ok(nonlinearity.gain()),
    }
}

/// Returns `(fan_in, fan_out)` of a shape `[out, in, kernel...]`.
///
/// # Errors
/// [`Error::Fans`] for fewer than two dimensions.
pub fn _calculate_fan_in_and_fan_out(shape: &[usize]) -> Result<(usize, usize), Error> {
    let fans = AxisLayout::OutIn.fans(shape)?;
    Ok((fans.fan_in, fans.fan_out))
}

/// Returns the fan_in or the fan_out of a shape `[out, in, kernel...]`. `mode` is `fan_in` or `fan_out`, in upper or
/// lower case.
///
/// # Errors
/// [`Error::Mode`] for an unknown mode. [`Error::Fans`] for fewer than two dimensions.
pub fn _calculate_correct_fan(shape: &[usize], mode: &str) -> Result<usize, Error> {
    let fan: Fan = mode.parse()?;
    Ok(fan.of(AxisLayout::OutIn.fans(shape)?))
}

/// Fills the tensor with values from N(mean, std^2) truncated to \[a, b]. torch's defaults: mean = 0, std = 1, a = -2,
/// b = 2.
///
/// As in torch, there is a warning if `mean` is more than two standard deviations outside \[a, b]. The warning is
/// part of the returned plan.
///
/// # Errors
/// Returns an error if the arguments or the shape are invalid. In this case nothing is written, and the generator does
/// not advance.
pub fn trunc_normal_(
    tensor: TensorMut<'_>,
    mean: f64,
    std: f64,
    a: f64,
    b: f64,
    generator: &mut Generator,
) -> Result<Plan, Error> {
    let plan = init::trunc_normal(mean, std).bounds(a, b).fill_tensor(tensor, generator)?;
    let far = mean < a - 2.0 * std || mean > b + 2.0 * std;
    Ok(if far { plan.with_warning(Warning::MeanFarOutside { mean, std, a, b }) } else { plan })
}

/// Defines functions of `torch.nn.init` in the form `name(arguments) = initializer`. `formerly` also defines a function
/// with torch's deprecated name.
macro_rules! mirror {
    ($( $(#[$doc:meta])* $name:ident $arguments:tt = $build:expr $(, formerly $old:ident)?; )*) => { $(
        mirror!(@function [$(#[$doc])*] $name $arguments $build);
        $( mirror!(@deprecated $old $name $arguments); )?
    )* };
    (@function [$($doc:tt)*] $name:ident ($tensor:ident $(, $argument:ident: $type:ty)*) $build:expr) => {
        $($doc)*
        ///
        /// # Errors
        /// Returns an error if the arguments or the shape are invalid. In this case nothing is written, and the
        /// generator does not advance.
        pub fn $name($tensor: TensorMut<'_>, $($argument: $type,)* generator: &mut Generator) -> Result<Plan, Error> {
            $build.fill_tensor($tensor, generator)
        }
    };
    (@deprecated $old:ident $name:ident ($tensor:ident $(, $argument:ident: $type:ty)*)) => {
        #[doc = concat!("The deprecated name of [`", stringify!($name), "`].")]
        ///
        /// # Errors
        #[doc = concat!("Returns the same errors as [`", stringify!($name), "`].")]
        #[deprecated(note = "torch deprecates the name without the underscore")]
        pub fn $old($tensor: TensorMut<'_>, $($argument: $type,)* generator: &mut Generator) -> Result<Plan, Error> {
            let (name, replacement) = (stringify!($old), stringify!($name));
            Ok($name($tensor, $($argument,)* generator)?.with_warning(Warning::Deprecated { name, replacement }))
        }
    };
}

mirror! {
    /// Fills the tensor with values from U[a, b). torch's defaults: a = 0, b = 1.
    uniform_(tensor, a: f64, b: f64) = init::uniform(a, b), formerly uniform;

    /// Fills the tensor with values from N(mean, std^2). torch's defaults: mean = 0, std = 1.
    normal_(tensor, mean: f64, std: f64) = init::normal(mean, std), formerly normal;

    /// Fills the tensor with `val`.
    constant_(tensor, val: f64) = init::constant(val), formerly constant;

    /// Fills the tensor with 1.
    ones_(tensor) = init::ones();

    /// Fills the tensor with 0.
    zeros_(tensor) = init::zeros();

    /// Fills the tensor with the identity matrix.
    eye_(tensor) = init::eye(), formerly eye;

    /// Fills the tensor with the Dirac delta function. In each group, the kernel from input channel d to output channel
    /// d is 1 at its centre. All other elements are 0. torch's default: groups = 1.
    dirac_(tensor, groups: usize) = init::dirac().groups(groups), formerly dirac;

    /// Fills the tensor with values from U[-a, a), a = gain * sqrt(6 / (fan_in + fan_out)). torch's default: gain = 1.
    xavier_uniform_(tensor, gain: f64) = init::xavier_uniform().gain(gain), formerly xavier_uniform;

    /// Fills the tensor with values from N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)). torch's default: gain
    /// = 1.
    xavier_normal_(tensor, gain: f64) = init::xavier_normal().gain(gain), formerly xavier_normal;

    /// Fills the tensor with values from U[-bound, bound), bound = gain * sqrt(3 / fan). `mode` selects fan_in or
    /// fan_out. The gain is torch's gain of the nonlinearity. `a` is the slope of leaky_relu, and has no effect on
    /// other nonlinearities. torch's defaults: a = 0, mode = fan_in, nonlinearity = leaky_relu.
    kaiming_uniform_(tensor, a: f64, mode: &str, nonlinearity: &str) =
        kaiming(init::kaiming_uniform(), &tensor, a, mode, nonlinearity)?, formerly kaiming_uniform;

    /// Fills the tensor with values from N(0, std^2), std = gain / sqrt(fan). The arguments and torch's defaults are
    /// the same as for [`kaiming_uniform_`].
    kaiming_normal_(tensor, a: f64, mode: &str, nonlinearity: &str) =
        kaiming(init::kaiming_normal(), &tensor, a, mode, nonlinearity)?, formerly kaiming_normal;

    /// Fills the tensor with a semi-orthogonal matrix, multiplied by `gain`. The first axis is the rows of the matrix.
    /// All other axes are flattened to the columns. torch's default: gain = 1.
    orthogonal_(tensor, gain: f64) = init::orthogonal().gain(Gain::Value(gain)), formerly orthogonal;

    /// Fills the tensor with values from N(0, std^2). In every column, ceil(sparsity * rows) random elements are 0
    /// instead. torch's default: std = 0.01.
    sparse_(tensor, sparsity: f64, std: f64) = init::sparse(sparsity).std(std), formerly sparse;
}

/// Returns `scheme` with the given arguments. Returns `scheme` unchanged if the tensor is empty, because torch does not
/// check the arguments of an empty tensor.
fn kaiming(
    scheme: init::Kaiming,
    tensor: &TensorMut<'_>,
    a: f64,
    mode: &str,
    nonlinearity: &str,
) -> Result<init::Kaiming, Error> {
    if tensor.is_empty() { Ok(scheme) } else { scheme.fan(mode.parse()?).torch_nonlinearity(a, nonlinearity) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `run` on a tensor of zeros and a generator with seed 0. Returns the result of `run`, and the values of the
    /// tensor.
    fn on<R>(shape: &[usize], run: impl FnOnce(TensorMut<'_>, &mut Generator) -> R) -> (R, Vec<f32>) {
        let mut buffer = vec![0f32; shape.iter().product()];
        let result = run(TensorMut::contiguous(&mut buffer, shape).unwrap(), &mut Generator::new(0));
        (result, buffer)
    }

    #[test]
    #[allow(deprecated, reason = "this tests the deprecated names")]
    fn deprecated_names_have_the_same_values_and_a_warning() {
        let (plan, old) = on(&[4, 4], |tensor, generator| xavier_normal(tensor, 2.0, generator));
        let (_, new) = on(&[4, 4], |tensor, generator| xavier_normal_(tensor, 2.0, generator));
        assert_eq!(old, new);
        let warning = plan.unwrap().warnings()[0].to_string();
        assert_eq!(
            warning,
            "`nn.init.xavier_normal` is now deprecated in favor of `nn.init.xavier_normal_`."
        );
    }

    #[test]
    fn error_messages_have_the_wording_of_torch() {
        let text = |result: Result<Plan, Error>| result.unwrap_err().to_string();
        let (error, _) = on(&[4], |t, g| text(xavier_normal_(t, 1.0, g)));
        assert!(
            error.starts_with(
                "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
            )
        );
        let (error, _) = on(&[2, 2], |t, g| text(kaiming_normal_(t, 0.0, "FAN", "relu", g)));
        assert_eq!(error, "Mode fan not supported, please use one of ['fan_in', 'fan_out']");
        let (error, _) = on(&[2, 2], |t, g| text(kaiming_normal_(t, 0.0, "Fan_In", "swish9", g)));
        assert_eq!(error, "Unsupported nonlinearity swish9");
        let (error, _) = on(&[2, 2, 2], |t, g| text(eye_(t, g)));
        assert!(error.contains("Only tensors with 2 dimensions are supported"));
        let (error, _) = on(&[2, 2], |t, g| text(dirac_(t, 1, g)));
        assert!(error.contains("Only tensors with 3, 4, or 5 dimensions are supported"));
        let (error, _) = on(&[3, 2, 2], |t, g| text(dirac_(t, 2, g)));
        assert!(error.contains("dim 0 must be divisible by groups"));
        let (error, _) = on(&[3], |t, g| text(orthogonal_(t, 1.0, g)));
        assert!(error.contains("Only tensors with 2 or more dimensions are supported"));
        assert_eq!(
            calculate_gain("leaky_relu", Some(f64::NAN)).unwrap_err().to_string(),
            "negative_slope NaN not a valid number"
        );
    }

    #[test]
    fn empty_tensors_give_a_warning_and_arguments_are_not_checked() {
        for shape in [[0, 4], [4, 0]] {
            let (plan, _) = on(&shape, |t, g| kaiming_uniform_(t, 0.0, "nonsense", "nonsense", g));
            let warnings = plan.unwrap().warnings().to_vec();
            assert_eq!(warnings[0].to_string(), "Initializing zero-element tensors is a no-op");
        }
    }
}
