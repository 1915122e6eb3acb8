//! Distributions, which turn words of a generator into variates. They are used by the native stream, and for generators
//! that the caller provides.
//!
//! A [`Transform32`] turns a group of words (sixteen blocks of four, `[word][block]`) into 64 f32 variates, one for
//! each word: variate `16 k + b` comes from word `k` of block `b`. A [`Transform64`] turns a group into 32 f64
//! variates, one for each pair of words: variate `16 k + b` comes from words `2 k` (high) and `2 k + 1` (low) of block
//! `b`.

pub(crate) mod normal;
mod transform;
pub(crate) mod truncated;
pub(crate) mod uniform;

pub(crate) use transform::{GROUP_32, GROUP_64, Transform32, Transform64};
