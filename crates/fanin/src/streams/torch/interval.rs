//! `Interval`, the parameters of a uniform distribution whose values are drawn from the torch stream.

use crate::dtype::DType;

/// The uniform distribution on [low, high), for one element type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
    /// The lower bound, rounded to the element type.
    pub(super) first: f32,
    /// The least and the greatest f32 value that the element type rounds to the upper bound. torch replaces values in
    /// this range by the lower bound. Not used for f64.
    pub(super) last: (f32, f32),
}

impl Interval {
    /// Creates the distribution on [low, high) for the element type `dtype`.
    pub(super) fn new(dtype: DType, (low, high): (f64, f64)) -> Self {
        let last = if dtype == DType::F64 { (0.0, 0.0) } else { dtype.rounding_to(dtype.round(high)) };
        Self { low, high, first: dtype.round(low) as f32, last }
    }
}
