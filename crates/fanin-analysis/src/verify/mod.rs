//! Verifies a checkpoint against its recipe.
//!
//! Every tensor is compared with its plan: the distribution of its values and, with a seed, the exact values. The
//! result is a [`Verification`].

mod copied;
mod report;
mod request;
mod verification;
mod verified_tensor;
mod verifier;

pub use report::Report;
pub use request::Request;
pub use verification::Verification;
pub use verified_tensor::VerifiedTensor;
