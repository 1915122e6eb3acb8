//! Weight initialization for neural networks: every scheme of `torch.nn.init`, with PyTorch's very numbers when they
//! are wanted, and otherwise the same weights however the work is split.
//!
//! # Quick start
//!
//! ```
//! use fanin::{Fan, Native, Nonlinearity, Torch, init};
//!
//! // The native stream: the value at an index depends on seed, name and index, and on nothing else.
//! let seed = Native::new(42);
//! let mut w = vec![0f32; 256 * 128];
//! init::kaiming_uniform()
//!     .fan(Fan::Out)
//!     .nonlinearity(Nonlinearity::Relu)
//!     .fill(&mut w, &[256, 128], &mut seed.tensor("fc.weight"))?;
//!
//! // So any box of it can be filled alone: here the last two rows.
//! let mut rows = vec![0f32; 2 * 128];
//! let init: init::Init = "kaiming_uniform(mode=fan_out, nonlinearity=relu)".parse()?;
//! fanin::Initializer::fill_region(&init, &mut rows, &[256, 128], &[254, 0], &[2, 128], &mut seed.tensor("fc.weight"))?;
//! assert_eq!(rows, w[254 * 128..]);
//!
//! // The torch stream: torch.manual_seed(0); torch.nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu").
//! let mut generator = Torch::new(0);
//! fanin::Initializer::fill(&init, &mut w, &[256, 128], &mut generator)?;
//! # Ok::<(), fanin::Error>(())
//! ```
//!
//! # How it goes
//!
//! ```text
//! initializer  --(shape, dtype)-->  plan  --(stream)-->  values
//! ```
//!
//! An initializer ([`init`]) is a small value that says what is wanted. Given a shape it resolves into a [`Plan`]: all
//! numbers known, all errors raised, nothing drawn. A plan and a [`Stream`] fill memory ([`TensorMut`]), contiguous or
//! strided, of `f32`, `f64`, [`half::f16`], [`half::bf16`], [`F8E4M3`] or [`F8E5M2`].
//!
//! | stream | the numbers | any box alone |
//! |---|---|---|
//! | [`Native`] | a function of seed, tensor name and index; frozen as version 1 | yes |
//! | [`Torch`] | torch's CPU generator, to the bit, state and all | yes, but of orthogonal matrices: the words before are jumped over |
//! | `FromRng` | any generator of the rand scheme (feature `rand_core`) | no |
//!
//! # From torch's names
//!
//! Specs are strings in the same words, `"trunc_normal(std=0.02, a=-0.04, b=0.04)"`: see [`init::Init`]. The functions
//! themselves, argument by argument, are in [`torch`].
//!
//! | `torch.nn.init` | fanin | spec |
//! |---|---|---|
//! | `uniform_` | [`init::uniform`] | `uniform` |
//! | `normal_` | [`init::normal`] | `normal` |
//! | `trunc_normal_` | [`init::trunc_normal`] | `trunc_normal` |
//! | `constant_` | [`init::constant`] | `constant` |
//! | `ones_` | [`init::ones`] | `ones` |
//! | `zeros_` | [`init::zeros`] | `zeros` |
//! | `eye_` | [`init::eye`] | `eye` |
//! | `dirac_` | [`init::dirac`] | `dirac` |
//! | `xavier_uniform_` | [`init::xavier_uniform`] | `xavier_uniform` |
//! | `xavier_normal_` | [`init::xavier_normal`] | `xavier_normal` |
//! | `kaiming_uniform_` | [`init::kaiming_uniform`] | `kaiming_uniform` |
//! | `kaiming_normal_` | [`init::kaiming_normal`] | `kaiming_normal` |
//! | `orthogonal_` | [`init::orthogonal`] | `orthogonal` |
//! | `sparse_` | [`init::sparse`] | `sparse` |
//! | `calculate_gain` | [`Nonlinearity::gain`] | `orthogonal(gain=relu)` |
//! | `_calculate_fan_in_and_fan_out` | [`AxisLayout::fans`] | |
//! | `_calculate_correct_fan` | [`Fan::of`] | `kaiming_normal(mode=fan_out)` |
//! | `torch.manual_seed` | [`Torch::new`] | |
//! | `torch.get_rng_state` | [`Torch::state`] | |
//!
//! # Beyond torch
//!
//! The specs of these have the same names. `layout` and `groups` say which axes are in and out ([`AxisLayout`]).
//!
//! | spec | fanin | from |
//! |---|---|---|
//! | `trunc_normal_tf` | [`init::trunc_normal_tf`] | timm, TensorFlow: cut-offs in units of std |
//! | `variance_scaling` | [`init::variance_scaling`] | JAX, Keras |
//! | `lecun_uniform` | [`init::lecun_uniform`] | JAX, Keras |
//! | `lecun_normal` | [`init::lecun_normal`] | JAX, Keras: cut at two sigma |
//! | `he_uniform` | [`init::he_uniform`] | JAX, Keras |
//! | `he_normal` | [`init::he_normal`] | JAX, Keras: cut at two sigma |
//! | `glorot_uniform` | [`init::glorot_uniform`] | JAX, Keras |
//! | `glorot_normal` | [`init::glorot_normal`] | JAX, Keras: cut at two sigma |
//! | `linear_default` | [`init::linear_default`] | torch's `nn.Linear` and `nn.Conv` |
//! | `linear_default_bias` | [`init::linear_default_bias`] | their biases |
//! | `delta_orthogonal` | [`init::delta_orthogonal`] | JAX; Xiao et al. 2018 |
//! | `zero_hadamard` | [`init::zero_hadamard`] | ZerO, Zhao et al. 2022 |
//! | `idinit` | [`init::idinit`] | IDInit, Pan et al. 2025 |
//! | `siren` | [`init::siren`] | Sitzmann et al. 2020 |
//! | `siren_first` | [`init::siren_first`] | Sitzmann et al. 2020 |
//! | `spectral` | [`init::spectral`] | Yang et al. 2023 |
//! | `blocks` | [`init::blocks`] | fused parameters: `blocks(4096: xavier_uniform, 1024: xavier_uniform)` |
//! | `stacked` | [`init::stacked`] | stacked ones: `stacked(orthogonal)` over `[expert, out, in]` |
//!
//! `lora_a` and `lora_b` are LoRA's two matrices. [`scaling`] has factors by depth and width, which specs call as functions:
//! `normal(std=0.02*gpt2_residual(n_layer))`. Gains are torch's table, or of any function by quadrature: `gain=gelu`,
//! `gain=forward(tanh)`, [`forward_gain`].
//!
//! # Features
//!
//! * `qr` (default): `orthogonal` on the torch stream, by faer's QR factorization. It is most of the build time; the
//!   native stream does not need it.
//! * `rayon` (default): fills on all cores ([`Threads`]). Without it each fill stays on the calling thread.
//! * `ndarray`: arrays of that crate, filled in place or made filled (`interop::ndarray`).
//! * `rand_core`: the engines implement the generator traits, and any generator can drive a fill.
//!
//! # What is stable
//!
//! * The native stream is [`Native::VERSION`] 1: a change of one bit would be a new version. Its definition is in
//!   [`streams::native`], in enough detail to write it again. It has the same bits at every CPU level ([`Level`]).
//! * The torch stream follows torch's current release ([`streams::torch`] says what is to the bit); where torch changed
//!   its algorithm, each one has a name ([`Truncation`]).
//! * Everything that can be wrong is an [`Error`] before a value is written. What is only worth saying is a
//!   [`Warning`], carried by the plan: a library prints nothing.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod activation;
mod cancel;
mod distributions;
mod dtype;
mod error;
mod gain;
pub mod init;
pub mod interop;
mod linalg;
mod math;
mod plan;
pub mod region;
pub mod rng;
pub mod scaling;
mod shape;
mod simd;
pub mod spec;
pub mod streams;
mod tensor;
mod threads;
pub mod torch;

pub use activation::{Activation, forward_gain};
pub use cancel::CancelToken;
pub use dtype::{DType, Element, F8E4M3, F8E5M2, Values};
pub use error::{Error, SpecError, Warning, nearest};
pub use gain::{Gain, Nonlinearity};
pub use half;
pub use init::Initializer;
pub use plan::{Block, Distribution, Plan, Truncation};
pub use shape::{Axes, Axis, AxisLayout, Fan, Fans, element_count};
pub use simd::Level;
#[cfg(feature = "rand_core")]
pub use streams::from_rng::FromRng;
pub use streams::{
    Stream,
    native::{Native, NativeModel, NativeTensor, Prepared, canonical_name},
    torch::Torch,
};
pub use tensor::TensorMut;
pub use threads::{Team, Threads};
