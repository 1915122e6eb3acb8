//! The implementations of the vector traits with AVX2 and AVX-512.
//!
//! The macros of `float_vectors` and `integer_vectors` implement the vector traits once for both levels. Each level
//! passes its register types, its intrinsics, and its implementations of the few operations that differ between the
//! levels.
//!
//! # Safety
//! A kernel can name the vector types only through the trait [`SimdIsa`](super::SimdIsa). Only
//! [`dispatch`](super::dispatch) passes an implementation of this trait to a kernel. The level of the implementation
//! was detected on this CPU. Every method may therefore execute the instructions of its level. The comment "SAFETY: the
//! level was detected." refers to this section.

pub(super) mod avx2;
pub(super) mod avx512;
mod float_vectors;
mod integer_vectors;
mod philox;
