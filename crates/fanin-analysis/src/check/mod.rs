//! Contains the tests that `verify`, `audit`, `diff` and `inspect` use. Some tests are for the values of one tensor:
//! the distribution, exact values, orthogonality and repeated values. Others are for a whole checkpoint: the names,
//! shapes and types of its tensors, and relations between two tensors.

mod bins;
pub(crate) mod bits;
#[cfg(test)]
mod calibration;
pub(crate) mod classify;
pub(crate) mod compare;
mod correlated;
pub(crate) mod distribution;
pub(crate) mod each_tensor;
mod empirical;
pub(crate) mod generate;
pub(crate) mod grid;
pub(crate) mod lanes;
mod magnitudes;
pub(crate) mod mismatch;
pub(crate) mod model;
pub(crate) mod orthogonal;
pub(crate) mod p_value;
pub(crate) mod reference;
pub(crate) mod related;
pub(crate) mod repeats;
pub(crate) mod running_moments;
pub(crate) mod sample;
pub(crate) mod seeds;
pub(crate) mod signature;
mod standard_normal;
pub(crate) mod structure;
pub(crate) mod tensor;
pub(crate) mod tensor_view;
pub(crate) mod test_result;
pub(crate) mod trained_vector;
mod value_hashes;

pub use classify::kind::{Classification, Kind};
pub use compare::ValueDifference;
pub use distribution::Univariate;
pub use model::{ModelComparison, ModelMismatch};
pub use test_result::TestResult;
