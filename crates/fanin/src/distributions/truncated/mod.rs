//! Truncated normal variates by inversion: each value is the quantile of one uniform variate.
//!
//! The method of computation depends on the interval. The methods and their formulas are part of the definition of the
//! native stream, and are documented in [`crate::streams::native`]. All methods work in standard units:
//! `z = (x - mean) / std`. An interval whose middle is below the mean is reflected, so that the lower cut-off is the
//! one nearer to the mean. Near the centre, the methods compute with the probability. In the far tail, they compute
//! with the logarithm of the probability and with the distance from the cut-off, so that no precision is lost to
//! cancellation.

mod distribution;
mod inverse64;
mod moments;
mod quantile32;

pub(crate) use distribution::{Truncated, Visitor32, Visitor64};
pub(crate) use moments::moments;
