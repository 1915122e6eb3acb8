//! Adds a scheme by implementing the trait `Initializer`. Every stream can then fill tensors with this scheme.

use fanin::{AxisLayout, DType, Distribution, Error, Initializer, Native, Plan, forward_gain};

/// An initializer of N(0, std^2) with `std = gain / sqrt(fan_in)`. `gain` is the [`forward_gain`] of the nonlinearity
/// `x * sin(2 * x)`. This gain keeps the variance of the signal constant from layer to layer.
struct Wavelet;

impl Initializer for Wavelet {
    fn resolve(&self, shape: &[usize], dtype: DType) -> Result<Plan, Error> {
        let fans = AxisLayout::OutIn.fans(shape)?;
        let gain = forward_gain(|x| x * (2.0 * x).sin());
        let std = gain / (fans.fan_in as f64).sqrt();
        Ok(Plan::new(shape, dtype, Distribution::Normal { mean: 0.0, std })?.with_fans(fans))
    }
}

fn main() -> Result<(), Error> {
    let mut weight = vec![0f32; 256 * 256];
    let plan = Wavelet.fill(&mut weight, &[256, 256], &mut Native::new(1).tensor("net.0.weight"))?;
    println!("std {:.5}, gain {:.5}", plan.std(), plan.std() * 16.0);
    Ok(())
}
