//! The logarithm, sine, cosine and normal quantile of scalars and SIMD vectors, and a quadrature (`normal_mean`).
//!
//! Each function except `normal_mean` is a fixed sequence of IEEE 754 operations: addition, multiplication, division,
//! square root and fused multiply-add. Only operations that are written as `mul_add` are fused. The results are
//! therefore bit-identical at every SIMD level (scalar, AVX2, AVX-512). The order of operations must not change: it
//! defines the values of the native stream and of the torch stream.
//!
//! These functions have no branches, so that the compiler can vectorize loops over arrays. Where a result depends on a
//! condition, both values are computed and one is selected.

#![allow(clippy::excessive_precision, reason = "coefficients are written as they were published")]

mod angle;
mod double;
mod normal_mean;
mod polynomial;
mod quantile;
mod single;
#[cfg(test)]
mod tests;

pub(crate) use angle::{TWO_32, angle, angle_of_turn, angle_of_turn64};
pub(crate) use double::{ln_1p64, minus_ln_complement64, polar64};
pub(crate) use normal_mean::normal_mean;
pub(crate) use quantile::{
    BODY_END, TAIL_END, body_factor, log_mills64, quantile_factor, quantile64, tail_to_minus_w,
};
pub(crate) use single::{ln, polar};
