//! The torch stream: the values of PyTorch's CPU generator (MT19937), bit for bit.
//!
//! The stream is tested against torch 2.15 on CPUs with AVX2 or better.
//!
//! # Bit-identical results
//!
//! * `uniform`, `normal`, `trunc_normal` by rejection, `sparse`, and all schemes that use these distributions: the
//!   values are bit-identical, and so is the state of the generator after the fill. This holds for f32, f64, f16 and
//!   bf16, in contiguous and in strided memory. Strided memory is filled in memory order, as in torch.
//! * `orthogonal`: only the state of the generator is bit-identical. The values differ by rounding errors, because the
//!   results of torch depend on its LAPACK library. torch does not support `orthogonal` in f16 and bf16. This crate
//!   computes f16 and bf16 matrices in f32.
//! * `trunc_normal` by `inverse_cdf` (torch before 2.12): only the state of the generator is bit-identical. The values
//!   differ by at most two units in the last place. The reason is torch's inverse error function. It comes from a
//!   library, and its results depend on the CPU.
//!
//! Normal values in f64 are computed with the logarithm, sine and cosine of the platform's C library, as in torch.
//! These values are bit-identical if this crate and torch use the same library.
//!
//! One difference is known, but does not matter in practice. In `trunc_normal` by rejection of uniform proposals, the
//! acceptance test needs a logarithm. In f32 and f64, the results of torch's logarithm depend on the CPU. This crate
//! computes the logarithm in f64 by the C library, and rounds it to the element type. In 10^8 comparisons, no test had
//! a different outcome.
//!
//! # Features that torch does not have
//!
//! * **Regions.** [`Torch::peek_region`] computes any region of a uniform, normal, truncated normal or sparse tensor
//!   without the rest of the tensor. This is possible because the Mersenne Twister can jump ahead.
//!   [`Stream::fill_region`](crate::Stream::fill_region) computes the same values, and then advances the generator past
//!   the whole tensor. These are the values that torch draws for a tensor in contiguous memory.
//! * **8-bit types.** torch cannot draw values of 8-bit types. This crate draws f32 values and rounds them as torch's
//!   `.to` does. The state of the generator is then the same as after a fill of an f32 tensor. Rounding can move a
//!   uniform value out of [low, high).
//! * **Blocks.** The blocks of a plan are drawn one after another, each like a separate contiguous tensor. The result
//!   equals `torch.cat` of initialized blocks, or `torch.stack` of initialized tensors.

mod acceptance;
mod advance;
mod check_plan;
mod cursor;
mod draw;
mod fill;
mod generator;
mod interval;
mod orthogonal;
mod partition;
mod regions;
mod rejection;
mod rejection_cursors;
mod rounded;
mod scattered;
mod sequences;
mod sparse;
mod state;
mod truncated;
mod variates;
mod wide;
mod words;

pub use generator::Torch;
