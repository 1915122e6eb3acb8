//! Distributions: the functions that turn the random 32-bit words of a generator into variates. The native stream and
//! `FromRng` use these functions.
//!
//! A group is sixteen blocks of four words, stored as `[word][block]`. A [`Transform32`] turns a group into 64 f32
//! variates: four from each block. Variate `16 k + b` is variate `k` (0 to 3) of block `b` (0 to 15). A [`Transform64`]
//! turns a group into 32 f64 variates: two from each block. Variate `16 k + b` is variate `k` (0 or 1) of block `b`.
//!
//! Variate `k` of a block comes from word `k` in f32, and from the words `2 k` (high) and `2 k + 1` (low) in f64.
//! Exception: the normal distribution computes two variates at once, from two words in f32 and from four words in f64.

pub(crate) mod normal;
mod transform;
pub(crate) mod truncated;
pub(crate) mod uniform;

pub(crate) use transform::{GROUP_32, GROUP_64, Transform32, Transform64};
