//! Truncated normal distributions, and the choice of the method that computes their values.

use super::super::transform::{Transform32, Transform64};
use super::super::uniform::{Uniform32, Uniform64, closed_range};
use super::inverse64::{Central, NARROW, OneWord, Tail};
use super::moments::{FAR_TAIL, cdf};
use super::quantile32::Quantile32;
use crate::dtype::DType;
use crate::math::{BODY_END, TAIL_END, TWO_32};

/// A truncated normal distribution. Each variant is a method that computes the values, with the parameters of this
/// method.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Truncated {
    /// The quantile function in f32. Used for intervals that need only the body of the quantile function (see
    /// [`BODY_END`]).
    Body(Quantile32<false>),
    /// The quantile function in f32. Used for intervals that need both the body and the tail of the quantile function
    /// (see [`TAIL_END`]).
    BodyAndTail(Quantile32<true>),
    /// The quantile function in f64. Used for intervals to which no other variant applies. For f64 values, this variant
    /// replaces `Body` and `BodyAndTail`.
    Central(Central),
    /// Each value is computed in f64 as `low + distance`, or as `high - distance` if the cut-off `high` is nearer to
    /// the mean. The distance is random. Used for intervals in the far tail and for narrow intervals (see [`FAR_TAIL`]
    /// and [`NARROW`]).
    Tail(Tail),
    /// A uniform distribution. Used for intervals so narrow that the distribution is uniform in f64 precision. Also
    /// used with `low == high`, if all values equal one cut-off.
    Flat {
        /// The lower cut-off.
        low: f64,
        /// The upper cut-off.
        high: f64,
    },
}

impl Truncated {
    /// Creates N(mean, std^2) truncated to [low, high]. `dtype` is the type of the values.
    pub(crate) fn new(mean: f64, std: f64, low: f64, high: f64, dtype: DType) -> Self {
        let (alpha, beta) = ((low - mean) / std, (high - mean) / std);
        let reflected = alpha + beta < 0.0;
        let (near, far) = if reflected { (-beta, -alpha) } else { (alpha, beta) };
        let width = (high - low) / std;
        let origin = if reflected { high } else { low };
        if near > 1e150 {
            // The density decays over a distance of about std / near, which is less than 1e-150 std. Every value is
            // therefore equal to the cut-off that is nearer to the mean.
            return Truncated::Flat { low: origin, high: origin };
        }
        if width * near.abs().max(1.0) <= NARROW {
            return Truncated::Flat { low, high };
        }
        let (least, greatest) = closed_range(low, high, dtype);
        if near >= FAR_TAIL || width < NARROW {
            return Truncated::Tail(Tail::new(
                near,
                width,
                origin,
                if reflected { -std } else { std },
                (least, greatest),
            ));
        }
        let (below, above) = (cdf(near), cdf(-far));
        let mass = if near > 0.0 { cdf(-near) - above } else { 1.0 - below - above };
        let smallest = below.min(above) + mass / TWO_32 / 2.0;
        let w = -libm::log(4.0 * smallest * (1.0 - smallest));
        // Undoes the reflection: from here on, `below` is P(Z < alpha) and `above` is P(Z > beta).
        let (below, above) = if reflected { (above, below) } else { (below, above) };
        let central = Central { mean, std, below, above, mass, least, greatest };
        if dtype != DType::F64 && width >= 0.125 && w < TAIL_END - 0.5 {
            return if w < BODY_END - 1e-3 {
                Truncated::Body(Quantile32::new(&central))
            } else {
                Truncated::BodyAndTail(Quantile32::new(&central))
            };
        }
        Truncated::Central(central)
    }

    /// Calls `visitor` with the [`Transform32`] that computes the values of this distribution as f32. Returns the
    /// result of `visitor`.
    pub(crate) fn visit32<V: Visitor32>(self, dtype: DType, visitor: V) -> V::Output {
        match self {
            Truncated::Body(transform) => visitor.visit32(transform),
            Truncated::BodyAndTail(transform) => visitor.visit32(transform),
            Truncated::Central(transform) => visitor.visit32(OneWord(transform)),
            Truncated::Tail(transform) => visitor.visit32(OneWord(transform)),
            Truncated::Flat { low, high } => visitor.visit32(Uniform32::closed(low, high, dtype)),
        }
    }

    /// Calls `visitor` with the [`Transform64`] that computes the values of this distribution as f64. Returns the
    /// result of `visitor`. The distribution must have been created for [`DType::F64`].
    pub(crate) fn visit64<V: Visitor64>(self, visitor: V) -> V::Output {
        match self {
            Truncated::Central(transform) => visitor.visit64(transform),
            Truncated::Tail(transform) => visitor.visit64(transform),
            Truncated::Flat { low, high } => visitor.visit64(Uniform64::closed(low, high)),
            Truncated::Body(_) | Truncated::BodyAndTail(_) => {
                unreachable!("this method is chosen only for types that are computed in f32")
            }
        }
    }
}

/// A function that takes any [`Transform32`] as its argument. A trait is used, because a closure cannot be generic.
pub(crate) trait Visitor32 {
    /// The return type of `visit32`.
    type Output;
    fn visit32(self, transform: impl Transform32) -> Self::Output;
}

/// A function that takes any [`Transform64`] as its argument. A trait is used, because a closure cannot be generic.
pub(crate) trait Visitor64 {
    /// The return type of `visit64`.
    type Output;
    fn visit64(self, transform: impl Transform64) -> Self::Output;
}
