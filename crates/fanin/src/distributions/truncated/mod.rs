//! Truncated normal variates by inversion: the quantile of a uniform variate, one draw for each value.
//!
//! Which method is used depends on the interval; the methods and their formulas are part of the definition of the native
//! stream and are documented in [`crate::streams::native`]. All of them work in standard units: z = (x - mean) / std. The interval is
//! reflected if that moves most of its probability to the upper side. Near the centre they work on the probability. In the far
//! tail they work on its logarithm and on the distance from the cut-off, so that no precision is lost to cancellation.

mod distribution;
mod inverse64;
mod moments;
mod quantile32;

pub(crate) use distribution::{Truncated, Visitor32, Visitor64};
pub(crate) use moments::moments;
