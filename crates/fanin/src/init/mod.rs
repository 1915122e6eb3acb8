//! Initializers: small values that say what is wanted, a scheme a file.
//!
//! Each is a small value (`Copy`, but for those made of others), comparable, prints as its spec and parses from it.
//! [`Init`] is any of them.

mod any;
mod blocks;
mod constant;
mod delta_orthogonal;
mod eye_dirac;
mod initializer;
mod kaiming;
mod linear_default;
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
mod zero_hadamard_idinit;

pub use any::Init;
pub use blocks::{Blocks, Stacked, blocks, equal_blocks, stacked};
pub use constant::{Constant, constant, ones, zeros};
pub use delta_orthogonal::{DeltaOrthogonal, delta_orthogonal};
pub use eye_dirac::{Dirac, Eye, dirac, eye};
pub use initializer::Initializer;
pub use kaiming::{Kaiming, kaiming_normal, kaiming_uniform};
pub use linear_default::{LinearDefault, LinearDefaultBias, linear_default, linear_default_bias};
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
pub use zero_hadamard_idinit::{IdInit, ZeroHadamard, idinit, zero_hadamard};
