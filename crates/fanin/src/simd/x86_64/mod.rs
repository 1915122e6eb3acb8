//! The implementations for AVX2 and AVX-512.
//!
//! The macros of `float_vectors` and `integer_vectors` implement the vector traits once for both levels. Each level
//! names its registers, its intrinsics, and the few operations that are written differently.
//!
//! # Safety
//! The vector types can be named only through [`SimdIsa`](super::SimdIsa). Only [`dispatch`](super::dispatch) passes a type
//! that implements it to a kernel, and it does so only after the level was detected on this CPU. Every method may
//! therefore execute the instructions of its level. The comment "SAFETY: the level was detected." refers to this.

pub(super) mod avx2;
pub(super) mod avx512;
mod float_vectors;
mod integer_vectors;
mod philox;
