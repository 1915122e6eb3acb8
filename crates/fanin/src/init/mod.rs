//! Initializers. Each scheme has a function, such as [`kaiming_normal`](kaiming_normal()), that returns an initializer.
//!
//! An initializer is a small value that stores the arguments of a scheme. Initializers can be compared with `==`. The
//! text form of an initializer is called a spec. `Display` prints a spec, and `FromStr` parses a spec. [`Init`] is the
//! enum of all initializers.
//!
//! [`Initializer::resolve`] returns the [`Plan`](crate::Plan) for a shape. [`Initializer::fill`] fills memory with
//! values from a [`Stream`](crate::Stream).
//!
//! ```
//! use fanin::{Native, Nonlinearity, init};
//! let scheme = init::kaiming_normal().nonlinearity(Nonlinearity::Relu);
//! assert_eq!(scheme.to_string(), "kaiming_normal(nonlinearity=relu)");
//! let mut weight = vec![0f32; 256 * 128];
//! let plan = scheme.fill(&mut weight, &[256, 128], &mut Native::new(42).tensor("fc.weight"))?;
//! assert_eq!(plan.std(), 0.125);
//! # Ok::<(), fanin::Error>(())
//! ```
//!
//! In the formulas, U[a, b) is the uniform distribution, and N(mean, std^2) is the normal distribution with the
//! standard deviation std. [`Fans`](crate::Fans) and [`AxisLayout`](crate::AxisLayout) define fan_in and fan_out.

mod any;
mod arange;
mod blocks;
mod by_shape;
mod constant;
mod delta_orthogonal;
mod dirac;
mod eye;
mod idinit;
mod initializer;
mod kaiming;
mod linear_default;
mod log_uniform;
mod mapped;
mod normal;
mod orthogonal;
mod siren;
mod sparse;
mod spectral;
mod trunc_normal;
mod trunc_normal_tf;
mod uniform;
mod variance_scaling;
mod xavier;
mod zero_hadamard;

pub use any::{Blocks, Init, Mapped, Stacked};
pub use arange::{Arange, arange};
pub use blocks::{blocks, equal_blocks, stacked};
pub use by_shape::ByShape;
pub use constant::{Constant, constant, ones, zeros};
pub use delta_orthogonal::{DeltaOrthogonal, delta_orthogonal};
pub use dirac::{Dirac, dirac};
pub use eye::{Eye, eye};
pub use idinit::{IdInit, idinit};
pub use initializer::Initializer;
pub use kaiming::{Kaiming, kaiming_normal, kaiming_uniform};
pub use linear_default::{LinearDefault, LinearDefaultBias, linear_default, linear_default_bias};
pub use log_uniform::{LogUniform, log_uniform};
pub use mapped::{exp, log, mapped, softplus_inverse};
pub use normal::{Normal, normal};
pub use orthogonal::{Orthogonal, orthogonal};
pub use siren::{Siren, siren, siren_first};
pub use sparse::{Sparse, sparse};
pub use spectral::{Spectral, spectral};
pub use trunc_normal::{TruncNormal, trunc_normal};
pub use trunc_normal_tf::{TruncNormalTf, trunc_normal_tf};
pub use uniform::{Uniform, uniform};
pub use variance_scaling::{
    FanMode, ScalingDistribution, VarianceScaling, glorot_normal, glorot_uniform, he_normal, he_uniform,
    lecun_normal, lecun_uniform, variance_scaling,
};
pub use xavier::{Xavier, xavier_normal, xavier_uniform};
pub use zero_hadamard::{ZeroHadamard, zero_hadamard};
