//! The torch stream: the values of PyTorch's CPU generator (MT19937), bit for bit.
//!
//! The stream is tested against torch 2.15 on CPUs with AVX2 or better.
//!
//! # Bit-identical results
//!
//! * `uniform`, `normal`, `trunc_normal` by rejection, `sparse`, and all schemes that use these distributions: both the
//!   values and the state of the generator afterwards are bit-identical. This holds for f32, f64, f16 and bf16, in
//!   contiguous and in strided memory. Strided memory is filled in memory order, as torch fills it.
//! * `orthogonal`: only the state of the generator is bit-identical. The values agree up to rounding errors. The values
//!   cannot be bit-identical in general, because the results of torch depend on its build of LAPACK. torch does not
//!   support `orthogonal` in f16 and bf16. This crate draws and factors these matrices in f32.
//! * `trunc_normal` by `inverse_cdf` (torch before 2.12): only the state of the generator is bit-identical. The values
//!   differ by at most two units in the last place, because torch's inverse error function comes from a library whose
//!   results depend on the CPU.
//!
//! Normal values of f64 use the logarithm, sine and cosine of the platform's C library, as in torch. These values are
//! bit-identical if this crate and torch use the same library.
//!
//! One difference is known. In f32 and f64, rejection in a narrow or distant tail compares with the correctly rounded
//! logarithm, while the results of torch's logarithm depend on the CPU. The difference does not matter in practice: in
//! 10^8 comparisons, no different outcome was found.
//!
//! # Features that torch does not have
//!
//! * **Regions.** [`Torch::peek_region`] computes any region of a uniform, normal, truncated normal or sparse tensor
//!   without the rest of the tensor, because the Mersenne Twister can jump ahead.
//!   [`Stream::fill_region`](crate::Stream::fill_region) computes the same values, and then moves the generator past
//!   the whole tensor. The values of a region are those that torch draws for a tensor in contiguous memory.
//! * **Eight-bit types.** torch cannot draw eight-bit types. This crate draws f32 values and rounds them as torch's
//!   `.to` does. The generator is afterwards in the same state as after a fill of an f32 tensor. Rounding may move a
//!   uniform value out of [low, high).
//! * **Blocks.** The blocks of a plan are drawn one after another, each as a contiguous tensor of its own. The result
//!   equals the result of `torch.cat` on initialized blocks, or of `torch.stack` on initialized tensors.

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
