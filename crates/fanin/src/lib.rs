//! Weight initialization for neural networks: every scheme of `torch.nn.init` and more. The crate reproduces PyTorch's
//! values bit for bit, or generates values that do not depend on how the work is split among threads and processes.
//!
//! # Quick start
//!
//! ```
//! use fanin::{Fan, Native, Nonlinearity, Torch, init};
//!
//! let scheme = init::kaiming_uniform().fan(Fan::Out).nonlinearity(Nonlinearity::Relu);
//!
//! // The native stream: a value depends only on the seed, the tensor's name and the index.
//! let seed = Native::new(42);
//! let mut weight = vec![0f32; 256 * 128];
//! scheme.fill(&mut weight, &[256, 128], &mut seed.tensor("fc.weight"))?;
//!
//! // A region of the tensor can be filled alone. This region is the last two rows.
//! let mut rows = vec![0f32; 2 * 128];
//! scheme.fill_region(&mut rows, &[256, 128], &[254, 0], &[2, 128], &mut seed.tensor("fc.weight"))?;
//! assert_eq!(rows, weight[254 * 128..]);
//!
//! // The torch stream: the values of
//! //     torch.manual_seed(0)
//! //     torch.nn.init.kaiming_uniform_(weight, mode="fan_out", nonlinearity="relu")
//! let mut generator = Torch::new(0);
//! scheme.fill(&mut weight, &[256, 128], &mut generator)?;
//! # Ok::<(), fanin::Error>(())
//! ```
//!
//! # How data flows
//!
//! ```text
//! initializer  --(shape, dtype)-->  plan  --(stream)-->  values
//! ```
//!
//! 1. A *scheme* is a named method, such as `kaiming_normal`. An *initializer* ([`init`], [`Initializer`]) is a scheme
//!    with its arguments.
//! 2. [`Initializer::resolve`] returns the [`Plan`] of an initializer for a shape and a [`DType`]. The plan has the
//!    [`Distribution`] with all its parameters, the [`Fans`] and the [`Warning`]s. This step returns an [`Error`] for
//!    invalid arguments and shapes, before any value is generated.
//! 3. A [`Stream`] fills a [`TensorMut`] according to the plan. The memory of the tensor is contiguous or strided. The
//!    [`Element`]s are `f32`, `f64`, [`half::f16`], [`half::bf16`], [`F8E4M3`] or [`F8E5M2`]. [`Values`] is a mutable
//!    slice whose element type is known only at run time.
//!
//! A *spec* is an initializer as text, such as `"trunc_normal(std=0.02, a=-0.04, b=0.04)"`. [`init::Init`] is the type
//! that every spec parses into. The module [`spec`] describes the grammar and lists the schemes.
//!
//! # Streams
//!
//! * The **native stream** ([`Native`]) is counter-based (Philox): a value depends only on the seed, the tensor's name
//!   and the index.
//! * The **torch stream** ([`Torch`]) is PyTorch's CPU generator (MT19937), bit for bit.
//!
//! With the feature `rand_core`, the stream `FromRng` takes its random words from any random number generator.
//!
//! | stream | values | can a region be filled alone? |
//! |---|---|---|
//! | [`Native`] | a function of seed, tensor name and index, frozen as version 1 | yes |
//! | [`Torch`] | the values of torch; after a fill, the generator also has torch's state | yes, except for orthogonal matrices |
//! | `FromRng` | computed from the words of the caller's generator | no |
//!
//! A model is filled tensor by tensor:
//!
//! * [`Native::tensor`] returns the stream of one tensor, a [`NativeTensor`].
//! * [`Native::model`] returns a [`NativeModel`]. Its method `tensor` also returns the stream of a tensor, but returns
//!   an error if the same name is requested twice.
//! * [`canonical_name`] removes the parts of a name that PyTorch's wrapper modules add, such as `_orig_mod`.
//! * [`Prepared`] fills several regions of one tensor. The work that all regions need is done only once.
//! * [`Threads`] and [`Team`] set which threads a fill uses.
//! * [`CancelToken`] cancels a running fill.
//!
//! # torch.nn.init by name
//!
//! The module [`torch`] has the functions of `torch.nn.init` with the same names and arguments. This table lists
//! the initializer and the spec of each function:
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
//! # Schemes beyond torch
//!
//! | spec | fanin | source or use |
//! |---|---|---|
//! | `trunc_normal_tf` | [`init::trunc_normal_tf`] | timm, TensorFlow: bounds in units of std |
//! | `variance_scaling` | [`init::variance_scaling`] | JAX, Keras |
//! | `lecun_uniform` | [`init::lecun_uniform`] | JAX, Keras |
//! | `lecun_normal` | [`init::lecun_normal`] | JAX, Keras: truncated at two sigma |
//! | `he_uniform` | [`init::he_uniform`] | JAX, Keras |
//! | `he_normal` | [`init::he_normal`] | JAX, Keras: truncated at two sigma |
//! | `glorot_uniform` | [`init::glorot_uniform`] | JAX, Keras |
//! | `glorot_normal` | [`init::glorot_normal`] | JAX, Keras: truncated at two sigma |
//! | `linear_default` | [`init::linear_default`] | the weights of torch's `nn.Linear` and `nn.Conv` |
//! | `linear_default_bias` | [`init::linear_default_bias`] | the biases of torch's `nn.Linear` and `nn.Conv` |
//! | `delta_orthogonal` | [`init::delta_orthogonal`] | JAX; Xiao et al. 2018 |
//! | `zero_hadamard` | [`init::zero_hadamard`] | ZerO, Zhao et al. 2022 |
//! | `idinit` | [`init::idinit`] | IDInit, Pan et al. 2025 |
//! | `siren` | [`init::siren`] | Sitzmann et al. 2020 |
//! | `siren_first` | [`init::siren_first`] | Sitzmann et al. 2020 |
//! | `spectral` | [`init::spectral`] | Yang et al. 2023 |
//! | `log_uniform` | [`init::log_uniform`] | the time steps of state space models |
//! | `arange` | [`init::arange`] | torch.arange, along the last axis |
//! | `log` | [`init::log`] | logarithm of values: `log(arange(1, 17))` |
//! | `exp` | [`init::exp`] | exponential of values: `exp(normal)` |
//! | `softplus_inverse` | [`init::softplus_inverse`] | inverse softplus: `softplus_inverse(log_uniform(0.001, 0.1))` |
//! | `blocks` | [`init::blocks`] | fused parameters: `blocks(4096: xavier_uniform, 1024: xavier_uniform)` |
//! | `stacked` | [`init::stacked`] | stacked parameters: `stacked(orthogonal)` for `[expert, out, in]` |
//!
//! The spec `lora_a` is a synonym of `linear_default`, and `lora_b` is a synonym of `zeros`. These specs initialize the
//! two matrices of LoRA.
//!
//! Arguments that many schemes share:
//!
//! * The axis layout (`layout` in specs) defines which axes of a weight are inputs and which are outputs. See
//!   [`AxisLayout`], [`Axes`], [`AxisRole`], [`Fans`] and [`Fan`].
//! * `groups` is the number of groups of a convolution.
//! * A [`Gain`] is a number, or the gain of a [`Nonlinearity`]. Some gains, such as `gain=relu`, are in torch's table
//!   (`calculate_gain`). The others, such as `gain=gelu` and `gain=forward(tanh)`, are forward gains
//!   ([`forward_gain`]).
//! * [`scaling`] has the factors that scale a standard deviation with the depth or the width of a model. A spec calls a
//!   factor as a function: `normal(std=0.02*gpt2_residual(n_layer))`.
//! * [`Truncation`] is the algorithm that generates truncated normal values.
//! * [`Functions`] are applied to the values of another distribution, one [`Function`] after another.
//! * A [`Block`] is one of the tensors of a fused or stacked parameter. Each block has a separate plan.
//!
//! # Further modules
//!
//! * [`region`] splits a region of a tensor into contiguous runs of elements.
//! * [`rng`] has the generators of random words.
//! * [`streams`] documents each stream in full.
//! * [`linalg`] computes singular values and scalar products.
//! * [`interop`] connects fanin with other crates.
//! * [`element_count`] returns the number of elements of a shape.
//! * [`nearest`] suggests a correction for a misspelled name.
//! * [`SpecError`] is the error of a spec that cannot be parsed.
//! * [`Level::run`] runs a [`Vectorized`] computation with the SIMD instructions of the CPU.
//!
//! # Features
//!
//! * `rayon` (default): fills use all cores ([`Threads`]). Without this feature, a fill runs on the calling thread,
//!   unless the caller provides a [`Team`] of threads.
//! * `ndarray`: the module `interop::ndarray` fills and creates arrays of the crate ndarray.
//! * `rand_core`: the generators of fanin implement the traits of rand_core. The stream `FromRng` takes its words from
//!   any generator with these traits.
//!
//! # Stability
//!
//! * The native stream is frozen as version 1 ([`Native::VERSION`]). A change of even one bit of a value requires a new
//!   version. [`streams::native`] defines the stream in enough detail to implement it again. The values are the same on
//!   every CPU and at every SIMD [`Level`].
//! * The torch stream follows the current release of torch. [`streams::torch`] lists which values are bit-identical.
//!   torch changed its algorithm for truncated normal values in version 2.12. [`Truncation`] has both algorithms.
//! * An invalid request returns an [`Error`], and no value is written. fanin prints nothing. [`Plan::warnings`] returns
//!   the [`Warning`]s of a fill.

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod cancel;
mod distributions;
mod dtype;
mod error;
mod gain;
pub mod init;
pub mod interop;
pub mod linalg;
mod math;
mod nonlinearity;
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
mod warning;

pub use cancel::CancelToken;
pub use dtype::{DType, Element, F8E4M3, F8E5M2, Values};
pub use error::{Error, SpecError, nearest};
pub use gain::Gain;
pub use half;
pub use init::Initializer;
pub use nonlinearity::{Nonlinearity, forward_gain};
pub use plan::{Block, Distribution, Function, Functions, Plan, Truncation};
pub use shape::{Axes, AxisLayout, AxisRole, Fan, Fans, element_count};
pub use simd::{Level, Vectorized};
#[cfg(feature = "rand_core")]
pub use streams::from_rng::FromRng;
pub use streams::{
    Stream,
    native::{Native, NativeModel, NativeTensor, Prepared, canonical_name},
    torch::Torch,
};
pub use tensor::TensorMut;
pub use threads::{Team, Threads};
pub use warning::Warning;
