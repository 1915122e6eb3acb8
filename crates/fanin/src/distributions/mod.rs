//! Distributions: the functions that turn the random 32-bit words of a generator into variates. The native stream and
//! `FromRng` use these functions.
//!
//! A block is four words. A group is sixteen blocks, stored as `[word][block]`. A [`Transform32`] turns a group into 64
//! f32 variates, four from each block. A [`Transform64`] turns a group into 32 f64 variates, two from each block. In
//! the output, variate `k` of block `b` has the index `16 k + b`.
//!
//! In f32, variate `k` of a block comes from word `k`. In f64, variate `k` comes from the words `2 k` (high) and
//! `2 k + 1` (low). The normal distribution is an exception. It computes two variates at once, from two words in f32
//! and from four words in f64.

pub(crate) mod normal;
mod transform;
pub(crate) mod truncated;
pub(crate) mod uniform;

pub(crate) use transform::{GROUP_32, GROUP_64, Transform32, Transform64};
