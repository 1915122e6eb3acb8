//! `Real`, the trait of f32 and f64 in generic linear algebra.

use crate::dtype::{Element, Values};
use crate::simd::SimdElement;

/// A float type, f32 or f64, with the arithmetic that the functions of `linalg` need.
pub(crate) trait Real:
    SimdElement
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    const ONE: Self;
    /// A sum of squares of at least this size has full relative precision. In a smaller sum, squares may have
    /// underflowed.
    const TINY: Self;
    /// Returns the square root.
    fn root(self) -> Self;
    /// Returns the slice of `values` if its elements are of this type, and `None` otherwise.
    fn memory(values: Values<'_>) -> Option<&mut [Self]>;
    /// Writes the values of `from` to the elements of `to`. Each value is rounded once.
    fn store<E: Element>(from: &[Self], to: &mut [E]);
}

macro_rules! real {
    ($type:ty, $variant:ident, $tiny:expr, $store:expr) => {
        impl Real for $type {
            const ONE: Self = 1.0;
            const TINY: Self = $tiny;
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            fn memory(values: Values<'_>) -> Option<&mut [Self]> {
                if let Values::$variant(memory) = values { Some(memory) } else { None }
            }
            fn store<E: Element>(from: &[Self], to: &mut [E]) {
                $store(from, to);
            }
        }
    };
}
real!(f32, F32, 1e-30, E::store);
real!(f64, F64, 1e-290, |from: &[f64], to: &mut [E]| {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = E::from_f64(*from));
});
