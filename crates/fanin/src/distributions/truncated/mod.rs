//! Truncated normal variates by inversion: each value is the quantile of one uniform variate.
//!
//! The method of computation depends on the interval. [`crate::streams::native`] documents the methods and their
//! formulas, which are part of the definition of the native stream. All methods work in standard units:
//! `z = (x - mean) / std`. An interval whose middle is below the mean is reflected. The lower cut-off is then nearer to
//! the mean than the upper cut-off.
//!
//! Near the mean, a value is computed from a probability. In the far tail, this would lose precision to cancellation.
//! There, the distance from the cut-off is computed from the logarithm of a probability.

mod distribution;
mod inverse64;
mod moments;
mod quantile32;

pub(crate) use distribution::{Truncated, Visitor32, Visitor64};
pub(crate) use moments::moments;
