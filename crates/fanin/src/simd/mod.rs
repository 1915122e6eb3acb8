//! SIMD levels, the vector types of each level, and the dispatch of a kernel to a level. No other module of the crate
//! has `unsafe` code.
//!
//! A [`Kernel`] is safe code that is generic over an instruction set ([`SimdIsa`]) and marked `#[inline(always)]`.
//! [`dispatch`] inlines the kernel into a function that is compiled with the target features of a level. The whole
//! kernel can therefore use the instructions of the level. The result of every operation is bit-identical at every
//! level. Only the number of lanes of some vectors depends on the level.
//!
//! - `traits`: the vector traits.
//! - `scalar`: the implementation for every CPU. There is no NEON code. On aarch64, all kernels use this
//!   implementation, and the compiler vectorizes its loops.
//! - `x86_64`: the implementations for AVX2 and AVX-512.
//! - `memory`: non-temporal stores and prefetching.

#![allow(unsafe_code, reason = "instructions that only some CPUs have, executed after they were detected")]

mod dispatch;
mod level;
mod memory;
mod scalar;
mod traits;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use dispatch::Vectorized;
pub(crate) use dispatch::dispatch;
pub use level::Level;
pub(crate) use memory::{Prefetch, fill_non_temporal};
#[cfg(test)]
pub(crate) use scalar::Scalar;
pub(crate) use traits::{
    Kernel, SimdBits, SimdElement, SimdF32, SimdF32Bits, SimdF64, SimdFloat, SimdIsa, SimdU32x16, SimdU64,
    SimdVector, U32X16_LANES,
};
