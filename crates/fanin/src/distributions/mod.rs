//! Distributions: the functions that turn the random 32-bit words of a generator into variates. The native stream and
//! `FromRng` use these functions.
//!
//! A group is sixteen blocks of four words, stored as `[word][block]`. A [`Transform32`] turns a group into 64 f32
//! variates, one for each word. Variate `16 k + b` comes from word `k` (0 to 3) of block `b` (0 to 15). A
//! [`Transform64`] turns a group into 32 f64 variates, one for each pair of words. Variate `16 k + b` comes from the
//! words `2 k` (high) and `2 k + 1` (low) of block `b`, where `k` is 0 or 1.

pub(crate) mod normal;
mod transform;
pub(crate) mod truncated;
pub(crate) mod uniform;

pub(crate) use transform::{GROUP_32, GROUP_64, Transform32, Transform64};
