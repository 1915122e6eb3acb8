//! The torch stream: the values of PyTorch's CPU generator (MT19937), bit for bit.
//!
//! It is checked against torch 2.15 on CPUs with AVX2 or better.
//!
//! # What is bit-identical to torch
//!
//! * `uniform`, `normal`, `trunc_normal` by rejection, `sparse`, and all schemes made of them: the values for f32, f64,
//!   f16 and bf16, in contiguous and strided memory, and the state of the generator afterwards. Strided memory is
//!   filled in memory order, as torch fills it.
//! * `orthogonal`: only the state of the generator. The values agree to rounding, because builds of LAPACK differ among
//!   themselves. torch refuses f16 and bf16; here they are drawn and factored in f32.
//! * `trunc_normal` by `inverse_cdf` (torch before 2.12): only the state of the generator. The values agree to two
//!   units in the last place, because torch's inverse error function comes from a library whose results depend on the
//!   CPU.
//!
//! Normal values of f64 use the logarithm, sine and cosine of the platform's C library, as torch does. They are
//! bit-identical if both use the same library.
//!
//! One known difference does not matter in practice: in f32 and f64, rejection in a narrow or distant tail compares
//! with the correctly rounded logarithm, while torch's logarithm depends on the CPU. No comparison with another outcome
//! was found in 10^8.
//!
//! # What torch does not have
//!
//! * **Regions.** [`Torch::peek_region`], and [`Stream::fill_region`](crate::Stream::fill_region), which moves the
//!   generator as well, compute any region of a uniform, normal, truncated normal or sparse tensor without the rest of
//!   it. The Mersenne Twister jumps ahead. The region is that of a tensor that torch fills in contiguous memory.
//! * **Eight-bit types.** torch cannot draw them. Their values are the f32 values, rounded as torch's `.to` rounds. The
//!   state of the generator is that after the f32 fill. Rounding may pass `low` and reach `high`.
//! * **Blocks.** The blocks of a plan are drawn one after another, each as a contiguous tensor of its own: like
//!   `torch.cat` of initialized blocks, or `torch.stack` of initialized tensors.

mod acceptance;
mod advance;
mod check_plan;
mod cursor;
mod draw;
mod fill;
mod generator;
mod narrow;
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
mod words;

pub use generator::Torch;
