//! Finds the initialization schemes that explain a fitted distribution.

use fanin::{AxisLayout, DType, Fan, Fans};

use super::fit::STD_TRUNCATED_AT_2;
use crate::check::distribution::Univariate;
use crate::check::grid::epsilon;

/// Standard deviations that models commonly use for tensors of any shape.
const FIXED_STDS: [f64; 7] = [0.02, 0.01, 1.0, 0.1, 0.05, 0.006, 1e-6];

/// A distribution that was fitted to the values of a tensor.
struct Fitted<'a> {
    /// The distribution.
    distribution: &'a Univariate,
    /// The standard deviation of the distribution after its values are rounded to the type of the tensor.
    std: f64,
    /// A scheme agrees with the fit if the relative difference of their standard deviations is less than this number.
    tolerance: f64,
}

impl Fitted<'_> {
    fn is_uniform(&self) -> bool {
        matches!(self.distribution, Univariate::Uniform { .. })
    }

    /// Returns whether the fitted standard deviation agrees with `std`, the standard deviation of a scheme.
    fn agrees(&self, std: f64) -> bool {
        (self.std / std - 1.0).abs() < self.tolerance
    }

    /// Returns the values of `FIXED_STDS` that agree with the fitted standard deviation. There are none if the
    /// distribution is not normal.
    fn fixed_normal_stds(&self) -> impl Iterator<Item = f64> {
        FIXED_STDS.into_iter().filter(|std| self.agrees(*std) && self.distribution.is_normal())
    }
}

/// Returns the schemes whose standard deviation for `shape` agrees with `distribution`, within about 4 standard errors.
/// The order is fixed: Xavier, Kaiming, then schemes that do not depend on the fans.
///
/// `values` is the number of values of the tensor. `sparsity` is the fraction of scattered zeros, or `None` if there
/// are almost none.
pub(crate) fn schemes(
    distribution: &Univariate,
    shape: &[usize],
    values: u64,
    dtype: DType,
    sparsity: Option<f64>,
) -> Vec<String> {
    let moments = distribution.moments(dtype);
    let std = moments.std;
    let is_uniform = matches!(distribution, Univariate::Uniform { .. });
    // The standard deviation of a uniform distribution is estimated from the range of the values. This is more precise
    // than an estimate from the sum of squares.
    let error = if is_uniform { 4.0 / values as f64 } else { 3.0 / (2.0 * values as f64).sqrt() }
        + if dtype == DType::BF16 { 4e-3 } else { 0.0 }
        + if dtype.size() == 1 { 3e-2 } else { 0.0 };
    let fitted = Fitted { distribution, std, tolerance: error.max(1e-6) * 1.4 };
    if let Some(sparsity) = sparsity {
        return fitted
            .fixed_normal_stds()
            .map(|std| format!("sparse(sparsity={sparsity:.2}, std={std})"))
            .collect();
    }
    if moments.mean.abs() > 1e-6 * std {
        // The only scheme with a mean other than 0 is a normal distribution with the mean 1, for weights of
        // normalization layers.
        let error = 5.0 * std / (values as f64).sqrt() + epsilon(dtype);
        return if (moments.mean - 1.0).abs() < error {
            fitted.fixed_normal_stds().map(|std| format!("normal(mean=1, std={std})")).collect()
        } else {
            Vec::new()
        };
    }
    let mut schemes = scaled_by_fan(&fitted, shape);
    if !fitted.is_uniform() {
        schemes.extend(normals(&fitted));
    }
    schemes
}

/// Returns the Xavier and Kaiming schemes that agree with the fitted standard deviation. Their standard deviations
/// depend on fan_in and fan_out.
fn scaled_by_fan(fitted: &Fitted<'_>, shape: &[usize]) -> Vec<String> {
    let Ok(Fans { fan_in, fan_out }) = AxisLayout::OutIn.fans(shape) else { return Vec::new() };
    let name = if fitted.is_uniform() { "uniform" } else { "normal" };
    let mut schemes = vec![((2.0 / (fan_in + fan_out) as f64).sqrt(), format!("xavier_{name}"))];
    for (fan, size) in [(Fan::In, fan_in), (Fan::Out, fan_out)] {
        let std = 1.0 / (size as f64).sqrt();
        schemes.push((std, format!("kaiming_{name}(mode={fan}, nonlinearity=linear), LeCun's")));
        schemes.push((std * 2f64.sqrt(), format!("kaiming_{name}(mode={fan}, nonlinearity=relu)")));
        let default = format!("kaiming_{name}(mode={fan}, a=sqrt(5)), torch's default");
        schemes.push((std / 3f64.sqrt(), default));
    }
    schemes.into_iter().filter(|(std, _)| fitted.agrees(*std)).map(|(_, scheme)| scheme).collect()
}

/// Returns the normal and truncated normal schemes that agree with the fitted standard deviation. Two kinds of schemes
/// are tried: schemes whose parameter `std` is one of `FIXED_STDS`, and the scheme of GPT-2's residual projections.
fn normals(fitted: &Fitted<'_>) -> Vec<String> {
    let mut schemes: Vec<String> =
        fitted.fixed_normal_stds().map(|std| format!("normal(std={std})")).collect();
    for std in FIXED_STDS {
        if !fitted.distribution.is_normal() && fitted.agrees(std * STD_TRUNCATED_AT_2) {
            schemes.push(format!("trunc_normal(std={std}, a=-2 std, b=2 std)"));
        }
    }
    // GPT-2's residual projections have std = 0.02 / sqrt(2 * depth). If several depths agree, none is returned.
    let depths: Vec<u32> =
        (2..=96).filter(|&depth| fitted.agrees(0.02 / f64::from(2 * depth).sqrt())).collect();
    if let [depth] = depths[..] {
        schemes
            .push(format!("normal(std=0.02/sqrt(2*{depth})), as for residual projections of {depth} blocks"));
    }
    schemes
}
