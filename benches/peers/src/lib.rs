//! Fills by other Rust libraries, as C functions. `benches/peers.py` calls these functions through ctypes.
//!
//! Each function draws `count` values from U[0, 1) or N(0, 1) on one thread, by the usual functions of a library.
//! `rand` and `rand_distr` write to the caller's memory. The other libraries return a new array or tensor, which is
//! dropped. `rand`, `rand_distr` and `ndarray-rand` use `SmallRng`, the fastest generator of the crate `rand`.
//! `candle-nn` and `burn-nn` use their default generators.

use std::hint::black_box;

use burn_core::tensor::Device as BurnDevice;
use candle_core::{DType, Device};
use candle_nn::Init;
use ndarray_rand::RandomExt;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// Returns the memory of the caller as a slice.
///
/// # Safety
/// `memory` must be valid for writes of `count` values, and nothing else may use the memory during the call.
unsafe fn slice<'a>(memory: *mut f32, count: usize) -> &'a mut [f32] {
    // SAFETY: guaranteed by the caller.
    unsafe { std::slice::from_raw_parts_mut(memory, count) }
}

/// # Safety
/// See [`slice`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rand_uniform(memory: *mut f32, count: usize) {
    let mut rng = SmallRng::seed_from_u64(0);
    // SAFETY: guaranteed by the caller.
    for value in unsafe { slice(memory, count) } {
        *value = rng.random();
    }
}

/// # Safety
/// See [`slice`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rand_normal(memory: *mut f32, count: usize) {
    let mut rng = SmallRng::seed_from_u64(0);
    // SAFETY: guaranteed by the caller.
    for value in unsafe { slice(memory, count) } {
        *value = rng.sample(StandardNormal);
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn ndarray_uniform(_: *mut f32, count: usize) {
    use ndarray_rand::rand::SeedableRng;
    let mut rng = ndarray_rand::rand::rngs::SmallRng::seed_from_u64(0);
    let distribution = ndarray_rand::rand_distr::StandardUniform;
    black_box(ndarray::Array1::<f32>::random_using(count, distribution, &mut rng));
}

#[unsafe(no_mangle)]
pub extern "C" fn ndarray_normal(_: *mut f32, count: usize) {
    use ndarray_rand::rand::SeedableRng;
    let mut rng = ndarray_rand::rand::rngs::SmallRng::seed_from_u64(0);
    let distribution = ndarray_rand::rand_distr::StandardNormal;
    black_box(ndarray::Array1::<f32>::random_using(count, distribution, &mut rng));
}

fn candle(init: Init, count: usize) {
    black_box(init.var(count, DType::F32, &Device::Cpu).expect("candle fills a tensor"));
}

#[unsafe(no_mangle)]
pub extern "C" fn candle_uniform(_: *mut f32, count: usize) {
    candle(Init::Uniform { lo: 0.0, up: 1.0 }, count);
}

#[unsafe(no_mangle)]
pub extern "C" fn candle_normal(_: *mut f32, count: usize) {
    candle(Init::Randn { mean: 0.0, stdev: 1.0 }, count);
}

fn burn(initializer: burn_nn::Initializer, count: usize) {
    black_box(initializer.init::<1, _>([count], &BurnDevice::default()).val());
}

#[unsafe(no_mangle)]
pub extern "C" fn burn_uniform(_: *mut f32, count: usize) {
    burn(burn_nn::Initializer::Uniform { min: 0.0, max: 1.0 }, count);
}

#[unsafe(no_mangle)]
pub extern "C" fn burn_normal(_: *mut f32, count: usize) {
    burn(burn_nn::Initializer::Normal { mean: 0.0, std: 1.0 }, count);
}
